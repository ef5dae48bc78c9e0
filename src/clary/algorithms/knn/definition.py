"""What the wire shows of k-NN; standard library only.

Source: developer guide, "k-NN Hyperparameters", "Tune a k-NN Model"; SageMaker SDK, `amazon/knn.py`.
"""

from __future__ import annotations

from typing import ClassVar

from clary.algorithms._declared import RowAlgorithm, channel, metric
from clary.algorithms.base import Channel, Metric
from clary.kernel.errors import CustomerError
from clary.toolkit.hyperparameters import Categorical, Hyperparameter, Integer, Params, Recommended, Rule

FLAT, IVF_FLAT, IVF_PQ = "faiss.Flat", "faiss.IVFFlat", "faiss.IVFPQ"
PQ_M = (1, 2, 3, 4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 96)


def _reduction(params: Params) -> None:
    if "dimension_reduction_type" in params and "dimension_reduction_target" not in params:
        raise CustomerError(
            "Missing required hyperparameter: dimension_reduction_target; it is required with "
            "dimension_reduction_type"
        )
    target = params.get("dimension_reduction_target")
    if target is not None and target >= params.int("feature_dim"):
        raise CustomerError(
            f"Hyperparameter dimension_reduction_target: value {target} not in range "
            f"[1, {params['feature_dim']}): it must be less than feature_dim"
        )


def _index(params: Params) -> None:
    kind, pq_m = params.text("index_type"), params.get("faiss_index_pq_m")
    if pq_m is not None and pq_m not in PQ_M:
        raise CustomerError(
            f"Hyperparameter faiss_index_pq_m: value {pq_m} is not one of {', '.join(map(str, PQ_M))}"
        )
    if kind == IVF_PQ and params["index_metric"] != "L2":
        raise CustomerError(
            f"Hyperparameter index_metric: value {params['index_metric']} is not supported with index_type "
            f"{IVF_PQ}; allowed: L2"
        )
    if kind == IVF_PQ and pq_m is None:
        raise CustomerError(
            f"Missing required hyperparameter: faiss_index_pq_m; index_type {IVF_PQ} needs it"
        )


class Knn(RowAlgorithm):
    """K nearest neighbours, SageMaker's built-in `knn`."""

    name: ClassVar[str] = "knn"
    title: ClassVar[str] = "K-Nearest Neighbors"
    hyperparameters: ClassVar[tuple[Hyperparameter, ...]] = (
        Integer(name="feature_dim", min=1, doc="Features of a row."),
        Integer(
            name="k", min=1, tunable=Recommended(min=1, max=1024), doc="Neighbours that a prediction follows."
        ),
        Categorical(
            name="predictor_type", choices=("classifier", "regressor"), doc="Commonest label, or their mean."
        ),
        Integer(
            name="sample_size",
            min=1,
            tunable=Recommended(min=256, max=20_000_000),
            doc="Rows kept, drawn from all.",
        ),
        Integer(
            name="dimension_reduction_target",
            min=1,
            default=None,
            doc="Columns that rows are reduced to; less than feature_dim.",
        ),
        Categorical(
            name="dimension_reduction_type",
            choices=("sign", "fjlt"),
            default=None,
            doc="Random signs, or the fast Johnson-Lindenstrauss transform; no reduction without.",
        ),
        Integer(
            name="faiss_index_ivf_nlists",
            min=1,
            words=("auto",),
            default="auto",
            doc="Cells of an inverted index; auto means the square root of sample_size.",
        ),
        Integer(name="faiss_index_pq_m", min=1, default=None, doc="Parts of a vector, of faiss.IVFPQ."),
        Categorical(
            name="index_metric",
            choices=("L2", "INNER_PRODUCT", "COSINE"),
            default="L2",
            doc="What near means.",
        ),
        Categorical(
            name="index_type",
            choices=(FLAT, IVF_FLAT, IVF_PQ),
            default=FLAT,
            doc="Exact, or by cells, or by cells of compressed vectors.",
        ),
        Integer(
            name="mini_batch_size", min=1, default=5000, doc="Rows of a mini-batch; changes nothing here."
        ),
    )
    rules: ClassVar[tuple[Rule, ...]] = (_reduction, _index)
    channels: ClassVar[tuple[Channel, ...]] = (
        channel("train", "Rows to search in, label first in CSV.", required=True),
        channel("test", "Rows whose labels are predicted and compared."),
    )
    metrics: ClassVar[tuple[Metric, ...]] = (
        metric("test:accuracy", "Maximize", "test accuracy", kind="score"),
        metric("test:mse", "Minimize", "test mse"),
    )


DEFINITION = Knn()
