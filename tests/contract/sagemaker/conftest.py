"""What several files of this folder stand on."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from clary.testing.jobs import upload_csv


@pytest.fixture(scope="module")
def place(clary_server):
    """Return an account with a bucket that holds train and validation data."""
    account = clary_server.account()
    cancer = load_breast_cancer()
    rows = np.column_stack([cancer.target, cancer.data])
    bucket = upload_csv(account, "train/data.csv", rows[:400])
    upload_csv(account, "validation/data.csv", rows[400:], bucket=bucket)
    return account, bucket
