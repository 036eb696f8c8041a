"""One body that trains and is looked into, and the ways from it to other libraries' models."""
