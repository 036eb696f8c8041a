"""A run: its folder, its checkpoints, its metrics, and how it is resumed."""
