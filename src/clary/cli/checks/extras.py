"""What can be added."""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from clary.cli.checks.base import Finding, Grade
from clary.kernel.settings import Settings

EXTRAS = (
    ("numba", "kernels", "models answered in the edge, and compiled reading"),
    ("faiss-cpu", "knn", "indexes of K-NN beside the exact one"),
    ("jupyterlab", "notebooks", "JupyterLab: clary run -- jupyter lab"),
    ("torch", "torch", "PyTorch scripts, and the algorithms that stand on it"),
    ("pyarrow", "parquet", "Parquet input"),
    ("psycopg", "postgres", "PostgreSQL as the store"),
    ("ray", "ray", "jobs on many machines"),
)
"""Distribution, extra of Clary, what it is for."""


def check(settings: Settings) -> Iterator[Finding]:
    """Look which extras are installed; a missing one is no fault."""
    for name, extra, use in EXTRAS:
        try:
            yield Finding(subject=name, grade=Grade.OK, text=version(name))
        except PackageNotFoundError:
            mend = f"pip install 'clary[{extra}]'"
            yield Finding(
                subject=name, grade=Grade.ABSENT, text=f"not installed; needed for: {use}", mend=mend
            )
