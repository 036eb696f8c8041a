"""One file for each picture: a function that describes a result as a `Drawing`."""
