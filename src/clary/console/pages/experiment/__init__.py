"""The page: Experiment."""
