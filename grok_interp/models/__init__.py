"""The transformer that is trained and analyzed, and its conversions to models of other libraries."""
