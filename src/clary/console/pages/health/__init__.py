"""The page: Health."""
