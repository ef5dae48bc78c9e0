"""The page: Transform."""
