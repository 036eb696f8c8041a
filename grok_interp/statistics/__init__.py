"""Statistics of plain NumPy arrays; nothing here knows of models."""
