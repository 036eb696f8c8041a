"""One study per paper: each of its figures is one function."""
