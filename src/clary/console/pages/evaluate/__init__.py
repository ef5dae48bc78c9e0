"""The page: How good predictions are, and which threshold costs least."""
