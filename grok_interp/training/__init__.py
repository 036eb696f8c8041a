"""From a config to (step, model) pairs."""
