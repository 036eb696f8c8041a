"""Results of analyzers, and the store that keeps them with a run."""
