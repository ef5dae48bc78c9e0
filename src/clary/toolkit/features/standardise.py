"""Standardise: mean 0, variance 1."""

from sklearn.preprocessing import StandardScaler


class Standardise(StandardScaler):  # type: ignore[misc]
    """Centre each column and divide it by its standard deviation.

    scikit-learn's `StandardScaler`, which learns from blocks by itself; missing values stay missing.
    """
