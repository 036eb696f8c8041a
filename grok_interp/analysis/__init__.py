"""One file per quantity: formula, result type, kernel (tensors in and out), driver (models in, labeled result out)."""
