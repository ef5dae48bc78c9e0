"""The page: Register a model."""
