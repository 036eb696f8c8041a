"""Engines call a function for each of many cells: in this process, in several, or on a cluster."""
