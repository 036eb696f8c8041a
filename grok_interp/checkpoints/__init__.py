"""A run on disk: its checkpoints, its metrics, and how it is resumed."""
