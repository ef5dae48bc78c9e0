"""The demo's data: 1,250 websites, 9 features each, phishing or not.

Source: "Website Phishing", N. Abdelhamid, A. Ayesh, F. Thabtah (2014), donated to the UCI machine-learning
repository in 2016, whose donation policy licenses data sets under CC BY 4.0. The rows come from the package
`river` (BSD 3-Clause), which ships them as `datasets/phishing.csv.gz` without the 103 sites that the authors
call merely suspicious.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

TARGET = "is_phishing"
SOURCE = (
    '"Website Phishing", Abdelhamid, Ayesh and Thabtah (2014), UCI machine-learning repository '
    "(CC BY 4.0 by its donation policy), as shipped by the Python package river (BSD 3-Clause)"
)
CAVEATS = (
    "The labels are taken as the package names them: 548 sites phishing, 702 honest. UCI's page gives the "
    "two counts the other way round, so one of the two has swapped the names.",
    "The nine features take two or three values each, so the 1,250 rows hold many equal ones. Equal rows on "
    "both sides of the split make any figure on the held-out part kinder than sites of a new kind would.",
)


@dataclass(frozen=True)
class Split:
    """Rows to learn from, to choose by, and to be judged on; the label is the first column."""

    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame


def find() -> Path:
    """Return the file inside the installed package, without importing the package."""
    package = importlib.util.find_spec("river")
    if package is None or package.origin is None:
        raise SystemExit(
            "The demo's data comes with the package `river`; run `make demo`, which installs it."
        )
    return Path(package.origin).parent / "datasets" / "phishing.csv.gz"


def load(seed: int = 7) -> Split:
    """Read, shuffle and split: half to train, a quarter to choose the threshold, a quarter held out."""
    rows = pd.read_csv(find())
    rows = rows[[TARGET, *(name for name in rows.columns if name != TARGET)]]
    rows = rows.sample(frac=1.0, random_state=seed).reset_index(drop=True)
    first, second = int(len(rows) * 0.50), int(len(rows) * 0.75)
    return Split(rows.iloc[:first], rows.iloc[first:second], rows.iloc[second:])
