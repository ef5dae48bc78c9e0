"""The page: One endpoint."""
