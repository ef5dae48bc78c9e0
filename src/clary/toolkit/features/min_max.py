"""Min-max scaling: the smallest value becomes 0, the largest 1."""

from sklearn.preprocessing import MinMaxScaler


class MinMax(MinMaxScaler):  # type: ignore[misc]
    """Scale each column into a range.

    scikit-learn's `MinMaxScaler`, which learns from blocks by itself; `clip=True` keeps new rows in range.
    """
