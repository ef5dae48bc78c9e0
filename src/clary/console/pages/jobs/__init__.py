"""The page: Jobs of one kind."""
