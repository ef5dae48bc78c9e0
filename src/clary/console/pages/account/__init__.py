"""The page: Account."""
