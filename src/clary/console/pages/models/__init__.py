"""The page: Models."""
