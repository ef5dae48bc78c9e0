"""What AWS's containers have installed beside the framework, as far as published scripts import it.

    sagemaker_containers    sagemaker_training    sagemaker_inference
    sagemaker_xgboost_container    sagemaker_sklearn_container

The folder is last on the path of a customer's script, in jobs and in replicas, and on no other: a package
that the customer installs comes first. What is not here is refused by name.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

FOLDER = str(Path(__file__).parent)
"""What scripts import from."""


def refusal(package: str, *offered: str) -> Callable[[str], NoReturn]:
    """Return a module's `__getattr__` that says what there is instead."""

    def refuse(name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        there = f"it has: {', '.join(offered)}" if offered else "it is here to be imported only"
        raise ImportError(
            f"{package}.{name} is part of AWS's containers, and Clary's stand-in for {package} does not have "
            f"it; {there}. Put the package into requirements.txt to use the original."
        )

    return refuse
