"""The page: Schedules."""
