"""Channels to matrices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import xgboost

from clary.algorithms.base import Source
from clary.algorithms.xgboost import _data
from clary.containers import refusal
from clary.kernel.errors import CustomerError
from clary.toolkit.formats.base import concatenate

CSV, LIBSVM, PARQUET, RECORDIO_PROTOBUF = "csv", "libsvm", "parquet", "recordio-protobuf"
_CONTENT_TYPES = {
    CSV: "text/csv",
    LIBSVM: "text/libsvm",
    PARQUET: "application/x-parquet",
    RECORDIO_PROTOBUF: "application/x-recordio-protobuf",
}

__getattr__ = refusal("sagemaker_xgboost_container.data_utils", "get_dmatrix", "get_content_type")


def get_content_type(content_type_cfg_val: str | None) -> str:
    """Return `csv`, `libsvm`, `parquet` or `recordio-protobuf` for a content type; none means libsvm.

    Raises
    ------
    ValueError
        It is none of them.
    """
    name = (content_type_cfg_val or LIBSVM).partition(";")[0].strip().lower()
    for short in _CONTENT_TYPES:
        if name.removeprefix("text/").removeprefix("application/").removeprefix("x-") == short:
            return short
    raise ValueError(f"{content_type_cfg_val} is not an accepted ContentType: {', '.join(_CONTENT_TYPES)}.")


def get_dmatrix(
    data_path: Any,
    content_type: str,
    csv_weights: int = 0,
    is_pipe: bool = False,
    combine_train_val: bool = False,
) -> xgboost.DMatrix | None:
    """Read the files of a channel; None where it has none.

    Raises
    ------
    ValueError
        The content type is none that XGBoost reads, or a file is not of it.
    """
    paths = [Path(str(each)) for each in (data_path if isinstance(data_path, list) else [data_path])]
    short = get_content_type(content_type)
    given = content_type if "/" in content_type else _CONTENT_TYPES[short]
    tables = {}
    for path in paths:
        source = Source(name=path.name, path=path, content_type=given, mode="Pipe" if is_pipe else "File")
        if not is_pipe and (not path.exists() or not _data.files_of(source)):
            continue
        try:
            tables[str(path)] = _data.read(source, has_weights=csv_weights == 1)
        except CustomerError as error:
            raise ValueError(str(error)) from error
    if not tables:
        return None
    _data.fit_widths(tables, max(table.n_columns for table in tables.values()))
    table = concatenate(list(tables.values()))
    return xgboost.DMatrix(table.features, label=table.labels, weight=table.weights, qid=table.groups)
