"""Random Cut Forest."""
