"""Hyperparameters of Sequence-to-Sequence; standard library only.

Source: developer guide, "Sequence2Sequence Hyperparameters".
"""

from __future__ import annotations

from typing import Any

from clary.algorithms._declared import FLAG
from clary.kernel.errors import CustomerError
from clary.toolkit.hyperparameters import (
    Categorical,
    Continuous,
    Hyperparameter,
    Integer,
    Params,
    Recommended,
)

NETWORKS = ("rnn", "cnn")
CELLS = ("lstm", "gru")
STATES = ("last", "avg", "zero")
ATTENTIONS = ("mlp", "dot", "fixed", "bilinear")
ACTIVATIONS = ("glu", "relu", "softrelu", "sigmoid", "tanh")
OPTIMIZERS = ("adam", "sgd", "rmsprop")
SCHEDULERS = ("plateau_reduce", "fixed_rate_inv_t", "fixed_rate_inv_sqrt_t")
METRICS = ("perplexity", "accuracy", "bleu")
WIDTHS = ("128", "256", "512", "1024", "2048")


def momentum_fits(params: Params) -> None:
    """Refuse a momentum without sgd."""
    if "momentum" in params and params["optimizer_type"] != "sgd":
        raise CustomerError(
            f"Hyperparameter momentum: value {params['momentum']} is of optimizer_type sgd, "
            f"and it is {params['optimizer_type']}"
        )


def cells_fit(params: Params) -> None:
    """Refuse cells that cannot be halved: half look back, and half ahead."""
    if params.int("rnn_num_hidden") % 2:
        raise CustomerError(
            f"Hyperparameter rnn_num_hidden: value {params['rnn_num_hidden']} must be an even integer"
        )


def epochs_fit(params: Params) -> None:
    """Refuse fewer passes at most than at least."""
    least, most = params.int("min_num_epochs"), params.get("max_num_epochs")
    if most is not None and most < least:
        raise CustomerError(
            f"Hyperparameter max_num_epochs: value {most} is less than min_num_epochs, {least}"
        )


def metrics_fit(params: Params) -> None:
    """Refuse a metric to optimise that is not measured."""
    if params["optimized_metric"] == "bleu" and params.int("bleu_sample_size") == 0:
        raise CustomerError(
            "Hyperparameter optimized_metric: value bleu needs bleu_sample_size of 1 or more, or -1 for all"
        )


def _count(name: str, default: int | None, doc: str, tunable: Recommended | None = None) -> Integer:
    return Integer(name=name, min=1, default=default, doc=doc, tunable=tunable)


def _flag(name: str, default: str, doc: str) -> Categorical:
    return Categorical(name=name, choices=FLAG, default=default, doc=doc)


def _choice(name: str, choices: tuple[str, ...], doc: str, **more: Any) -> Categorical:
    return Categorical(name=name, choices=choices, **{"default": choices[0], **more}, doc=doc)


def _dropout(name: str, doc: str) -> Continuous:
    return Continuous(name=name, min=0, max=1, default=0.0, tunable=Recommended(min=0, max=0.5), doc=doc)


_SHAPE: tuple[Hyperparameter, ...] = (
    _count("max_seq_len_source", 100, "Tokens of a source; what is longer is cut."),
    _count("max_seq_len_target", 100, "Tokens of a target; what is longer is cut."),
    _choice("encoder_type", NETWORKS, "Recurrent cells, or convolutions."),
    _choice("decoder_type", NETWORKS, "Recurrent cells, or convolutions."),
    _count("num_layers_encoder", 1, "Layers of the encoder.", Recommended(min=1, max=10)),
    _count("num_layers_decoder", 1, "Layers of the decoder.", Recommended(min=1, max=10)),
    Integer(
        name="rnn_num_hidden",
        min=2,
        default=1024,
        tunable=WIDTHS,
        doc="Cells of a recurrent layer; of the encoder's first, half look back, and half ahead.",
    ),
    _choice("rnn_cell_type", CELLS, "Kind of the cells."),
    _choice("rnn_decoder_state_init", STATES, "What the decoder begins with, of the encoder's states."),
    _flag("rnn_residual_connections", "false", "Whether layers of cells add to what they get."),
    _count("rnn_first_residual_layer", 2, "First layer that does so."),
    _count("cnn_kernel_width_encoder", 3, "Tokens under a filter of the encoder."),
    _count("cnn_kernel_width_decoder", 5, "Tokens under a filter of the decoder."),
    Integer(name="cnn_num_hidden", min=1, default=512, tunable=WIDTHS, doc="Filters of a layer."),
    _choice("cnn_activation_type", ACTIVATIONS, "Activation of filters."),
    _dropout("cnn_hidden_dropout", "Dropout between layers of convolutions."),
    _count("num_embed_source", 512, "Numbers in a source token's vector.", Recommended(min=256, max=512)),
    _count("num_embed_target", 512, "Numbers in a target token's vector.", Recommended(min=256, max=512)),
    _dropout("embed_dropout_source", "Dropout of source tokens' vectors."),
    _dropout("embed_dropout_target", "Dropout of target tokens' vectors."),
    _choice("rnn_attention_type", ATTENTIONS, "How a step of the decoder looks at the source."),
    _count("rnn_attention_num_hidden", None, "Width of mlp attention; without, rnn_num_hidden."),
    _flag("rnn_attention_in_upper_layers", "true", "Whether upper layers see what attention found."),
    _dropout("rnn_decoder_hidden_dropout", "Dropout of what the decoder's cells and attention say."),
)
_DATA: tuple[Hyperparameter, ...] = (
    Integer(
        name="batch_size",
        min=1,
        default=64,
        tunable=("16", "32", "64", "128", "256", "512", "1024", "2048"),
        doc="Pairs of a step.",
    ),
    _flag("bucketing_enabled", "true", "Whether pairs of like lengths make a batch."),
    _count("bucket_width", 10, "Lengths that count as alike."),
    _choice("loss_type", ("cross-entropy",), "Loss."),
    _choice("training_metric", METRICS[:2], "Metric of training that the log shows."),
    _choice("optimized_metric", METRICS, "Metric of validation by which training ends."),
    Integer(
        name="bleu_sample_size",
        min=-1,
        default=0,
        doc="Pairs of validation that are translated for BLEU; -1 means all.",
    ),
    Integer(name="max_num_batches", min=-1, default=-1, doc="Steps, at most; -1 means without end."),
    _count("checkpoint_frequency_num_batches", 1000, "Steps between two measurements."),
    _count("checkpoint_threshold", 3, "Measurements without progress after which training ends."),
    _count("max_num_epochs", None, "Passes over the data; with it, nothing else ends training."),
    Integer(
        name="min_num_epochs", min=0, default=0, doc="Passes before which no lack of progress ends training."
    ),
)
_STEPS: tuple[Hyperparameter, ...] = (
    _choice("optimizer_type", OPTIMIZERS, "How steps are found.", tunable=OPTIMIZERS),
    _choice("weight_init_type", ("xavier", "uniform"), "First weights.", tunable=("xavier", "uniform")),
    Continuous(
        name="weight_init_scale",
        default=2.34,
        tunable=Recommended(min=2, max=3),
        doc="Their size: the bound of uniform, the magnitude of xavier.",
    ),
    _choice("xavier_factor_type", ("in", "out", "avg"), "What xavier divides by."),
    Continuous(
        name="learning_rate",
        above=0,
        default=0.0003,
        tunable=Recommended(min=0.00005, max=0.2, scale="Logarithmic"),
        doc="Length of steps at the beginning.",
    ),
    Continuous(
        name="weight_decay", min=0, default=0.0, tunable=Recommended(min=0, max=0.1), doc="L2 regularisation."
    ),
    Continuous(
        name="momentum",
        min=0,
        below=1,
        default=None,
        tunable=Recommended(min=0.5, max=0.9),
        doc="Momentum, of sgd alone.",
    ),
    Continuous(
        name="clip_gradient",
        default=1.0,
        tunable=Recommended(min=1, max=5),
        doc="Magnitude that each component of the gradient is cut to; below 0, none.",
    ),
    _choice("lr_scheduler_type", SCHEDULERS, "How the learning rate falls.", tunable=SCHEDULERS),
    Continuous(
        name="plateau_reduce_lr_factor",
        above=0,
        below=1,
        default=0.5,
        tunable=Recommended(min=0.1, max=0.5),
        doc="Factor of plateau_reduce.",
    ),
    _count(
        "plateau_reduce_lr_threshold",
        3,
        "Measurements without progress after which it applies.",
        Recommended(min=1, max=5),
    ),
    _count(
        "fixed_rate_lr_half_life",
        10,
        "Measurements after which fixed_rate schedulers have halved the rate.",
        Recommended(min=10, max=30),
    ),
    _count("beam_size", 5, "Translations that are followed at once."),
)
HYPERPARAMETERS = (*_SHAPE, *_DATA, *_STEPS)
