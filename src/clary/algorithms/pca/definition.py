"""What the wire shows of PCA; standard library only.

Source: developer guide, "PCA Hyperparameters" and "PCA Algorithm"; SageMaker SDK, `amazon/pca.py`.
"""

from __future__ import annotations

from typing import ClassVar

from clary.algorithms._declared import FLAG, RowAlgorithm, channel
from clary.algorithms.base import Channel
from clary.kernel.errors import CustomerError
from clary.toolkit.hyperparameters import Categorical, Hyperparameter, Integer, Params, Rule


def _num_components(params: Params) -> None:
    if params.int("num_components") > params.int("feature_dim"):
        raise CustomerError(
            f"Hyperparameter num_components: value {params['num_components']} is more than feature_dim, "
            f"{params['feature_dim']}"
        )


class Pca(RowAlgorithm):
    """Principal component analysis, SageMaker's built-in `pca`."""

    name: ClassVar[str] = "pca"
    title: ClassVar[str] = "Principal Component Analysis"
    hyperparameters: ClassVar[tuple[Hyperparameter, ...]] = (
        Integer(name="feature_dim", min=1, doc="Features of a row."),
        Integer(
            name="mini_batch_size", min=1, doc="Rows of a mini-batch; changes nothing here but rounding."
        ),
        Integer(name="num_components", min=1, doc="Principal components wanted."),
        Categorical(
            name="algorithm_mode",
            choices=("regular", "randomized"),
            default="regular",
            doc="`regular` computes the covariance; `randomized` only its action on a few directions.",
        ),
        Integer(
            name="extra_components",
            min=-1,
            default=-1,
            doc="Directions beyond num_components, in mode randomized; -1 means the larger of 10 and that.",
        ),
        Categorical(
            name="subtract_mean",
            choices=FLAG,
            default="true",
            doc="Whether rows are centred, in training and in inference.",
        ),
    )
    rules: ClassVar[tuple[Rule, ...]] = (_num_components,)
    channels: ClassVar[tuple[Channel, ...]] = (
        channel("train", "Rows whose components are wanted.", required=True),
        channel("test", "Rows whose reconstruction is measured."),
    )


DEFINITION = Pca()
