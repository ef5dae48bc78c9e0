"""Whether two model artefacts are the same, and where they differ if not."""

import io
import tarfile
from collections.abc import Mapping
from typing import Any

N_ROWS = 256
BOOSTER = "xgboost-model"


def compared(first: bytes, second: bytes) -> dict[str, Any]:
    """Compare two `model.tar.gz`, by what is in their files and not by when these were written.

    Returns
    -------
    dict
        `Same`; where they are not, `OnlyFirst`, `OnlySecond` and `Differing` (name, sizes, first byte that
        differs), and for XGBoost models how far their predictions are apart.
    """
    if first == second:
        return {"Same": True, "IsSameArchive": True}
    mine, other = members(first), members(second)
    answer: dict[str, Any] = {
        "Same": mine == other,
        "IsSameArchive": False,
        "OnlyFirst": sorted(set(mine) - set(other)),
        "OnlySecond": sorted(set(other) - set(mine)),
        "Differing": [
            {
                "Name": name,
                "Sizes": [len(mine[name]), len(other[name])],
                "FirstDifferingByte": first_difference(mine[name], other[name]),
            }
            for name in sorted(set(mine) & set(other))
            if mine[name] != other[name]
        ],
    }
    if any(each["Name"] == BOOSTER for each in answer["Differing"]):
        answer["Predictions"] = predictions(mine[BOOSTER], other[BOOSTER])
    return answer


def members(archive: bytes) -> Mapping[str, bytes]:
    """Return the files of a gzipped tar by name; nothing is written to disk."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as opened:
        files = {each.name.removeprefix("./"): opened.extractfile(each) for each in opened if each.isfile()}
        return {name: file.read() for name, file in files.items() if file is not None}


def first_difference(first: bytes, second: bytes) -> int:
    """Return the place of the first byte that differs; the shorter length where one begins with the other."""
    low, high = 0, min(len(first), len(second))
    if first[:high] == second[:high]:
        return high
    while high - low > 1:
        middle = (low + high) // 2
        if first[low:middle] == second[low:middle]:
            low = middle
        else:
            high = middle
    return low


def predictions(first: bytes, second: bytes) -> dict[str, Any]:
    """Return how far two XGBoost models are apart on random rows; why not, where that cannot be told."""
    try:
        import numpy as np  # noqa: PLC0415 - only where models of this kind differ
        import xgboost  # noqa: PLC0415
    except ImportError as error:
        return {"Unknown": f"{error.name} is not installed here"}
    try:
        boosters = [xgboost.Booster(model_file=bytearray(each)) for each in (first, second)]
        width = {booster.num_features() for booster in boosters}
        if len(width) != 1:
            return {"Unknown": f"the models have {' and '.join(map(str, sorted(width)))} features"}
        rows = np.random.default_rng(0).normal(size=(N_ROWS, width.pop()))
        scores = [booster.inplace_predict(rows, validate_features=False) for booster in boosters]
    except (ValueError, xgboost.core.XGBoostError) as error:
        return {"Unknown": str(error).splitlines()[0]}
    apart = np.abs(scores[0] - scores[1])
    return {"Rows": N_ROWS, "Differing": int((apart > 0).sum()), "LargestDifference": float(apart.max())}
