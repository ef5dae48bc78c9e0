"""The page: User."""
