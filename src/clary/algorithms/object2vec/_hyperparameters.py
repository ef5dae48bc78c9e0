"""Hyperparameters of Object2Vec; standard library only.

Source: developer guide, "Object2Vec Hyperparameters" and "Tune an Object2Vec Model"; SDK,
`amazon/object2vec.py`.
"""

from __future__ import annotations

import re

from clary.algorithms._declared import FEATURE_DIM, FLAG
from clary.kernel.errors import CustomerError
from clary.toolkit.hyperlists import Words
from clary.toolkit.hyperparameters import (
    Categorical,
    Continuous,
    Hyperparameter,
    Integer,
    Params,
    Recommended,
    Text,
)

NETWORKS = ("hcnn", "bilstm", "pooled_embedding")
OPTIMIZERS = ("adadelta", "adagrad", "adam", "rmsprop", "sgd")
ROW_SPARSE = ("adagrad", "adam", "sgd")
"""Optimisers of `token_embedding_storage_type=row_sparse`."""
ACTIVATIONS = ("tanh", "relu", "linear")
COMPARATORS = ("hadamard", "concat", "abs_diff")
CLASSES, NUMBERS = "softmax", "mean_squared_error"
_FILE = re.compile(r"[A-Za-z0-9_.]*")
"""Source: developer guide, "Object2Vec Hyperparameters"."""
STORAGE, TIED = "token_embedding_storage_type", "tied_token_embedding_weight"


def _encoder(side: int) -> tuple[Hyperparameter, ...]:
    """Return the hyperparameters of one encoder; those of enc1 may be left to enc0's."""
    name = f"enc{side}_"
    from_first = "; without, enc0's" if side else ""
    networks = NETWORKS if not side else ("enc0", *NETWORKS)
    required = {} if not side else {"default": None}
    return (
        Integer(
            name=f"{name}max_seq_len",
            min=1,
            max=5000,
            doc=f"Tokens of a sequence; what is longer is cut{from_first}.",
            **required,  # type: ignore[arg-type]
        ),
        Integer(
            name=f"{name}vocab_size",
            min=2,
            max=3_000_000,
            doc=f"Tokens that there are, 0 to one less{from_first}.",
            **required,  # type: ignore[arg-type]
        ),
        Categorical(
            name=f"{name}network",
            choices=networks,
            default="enc0" if side else "hcnn",
            doc="As enc0's; enc0 means the same network, with weights of its own."
            if side
            else "Convolutions, a recurrent network in both directions, or the mean of tokens' vectors.",
        ),
        Integer(
            name=f"{name}cnn_filter_width",
            min=1,
            max=9,
            default=3,
            tunable=Recommended(min=1, max=5),
            doc="Tokens under a filter of hcnn.",
        ),
        Categorical(
            name=f"{name}freeze_pretrained_embedding",
            choices=FLAG,
            default="true",
            doc="Whether pretrained vectors stay as they are.",
        ),
        Integer(
            name=f"{name}layers",
            min=1,
            max=4,
            words=("auto",),
            default="auto",
            tunable=Recommended(min=1, max=4),
            doc="Layers; auto means 4 of hcnn and 1 of bilstm.",
        ),
        Text(
            name=f"{name}pretrained_embedding_file",
            default="",
            doc="File of the auxiliary channel with a word and its vector a line.",
        ),
        Integer(
            name=f"{name}token_embedding_dim",
            min=2,
            max=1000,
            default=300,
            tunable=Recommended(min=5, max=300),
            doc="Numbers in a token's vector.",
        ),
        Text(
            name=f"{name}vocab_file",
            default="",
            doc="File of the auxiliary channel, JSON, from a word to its token.",
        ),
    )


HYPERPARAMETERS: tuple[Hyperparameter, ...] = (
    *_encoder(0),
    *_encoder(1),
    Integer(
        name="bucket_width",
        min=0,
        max=100,
        default=0,
        doc="Pairs whose lengths differ by less share mini-batches; 0: chance alone decides.",
    ),
    Words(
        name="comparator_list",
        choices=COMPARATORS,
        default=COMPARATORS,
        doc="How two encodings are put together, in this order.",
    ),
    Continuous(
        name="dropout",
        min=0,
        max=1,
        default=0.0,
        tunable=Recommended(min=0, max=1),
        doc="Chance that a value of a layer is left out in training.",
    ),
    Integer(
        name="early_stopping_patience",
        min=1,
        max=5,
        default=3,
        tunable=Recommended(min=1, max=5),
        doc="Passes in a row without improvement after which training ends.",
    ),
    Continuous(
        name="early_stopping_tolerance",
        min=0.000001,
        max=0.1,
        default=0.01,
        tunable=Recommended(min=0.001, max=0.1),
        doc="Fall of the loss that is an improvement.",
    ),
    Integer(
        name="enc_dim",
        min=4,
        max=10_000,
        default=4096,
        tunable=Recommended(min=4, max=4096),
        doc="Numbers in an encoding by hcnn or bilstm; a pooled one has token_embedding_dim.",
    ),
    Integer(
        name="epochs", min=1, max=100, default=30, tunable=Recommended(min=4, max=20), doc="Passes, at most."
    ),
    Continuous(
        name="learning_rate",
        min=0.000001,
        max=1,
        default=0.0004,
        tunable=Recommended(min=1e-6, max=1, scale="Logarithmic"),
        doc="Length of the optimiser's steps.",
    ),
    Integer(
        name="mini_batch_size",
        min=1,
        max=10_000,
        default=32,
        tunable=Recommended(min=1, max=8192),
        doc="Pairs of a mini-batch.",
    ),
    Categorical(
        name="mlp_activation",
        choices=ACTIVATIONS,
        default="linear",
        tunable=ACTIVATIONS,
        doc="Activation of the layers behind the comparison.",
    ),
    Integer(
        name="mlp_dim",
        min=2,
        max=10_000,
        default=512,
        tunable=Recommended(min=16, max=1024),
        doc="Width of the layers behind the comparison.",
    ),
    Integer(
        name="mlp_layers",
        min=0,
        max=10,
        default=2,
        tunable=Recommended(min=1, max=4),
        doc="Layers behind the comparison.",
    ),
    Integer(
        name="negative_sampling_rate",
        min=0,
        default=0,
        doc="Pairs of label 0 that are drawn for each pair, of its in0 and the in1 of others.",
    ),
    Integer(name="num_classes", min=2, max=30, default=2, doc="Labels there are, 0 to one less; of softmax."),
    Categorical(
        name="optimizer", choices=OPTIMIZERS, default="adam", tunable=OPTIMIZERS, doc="How steps are found."
    ),
    Categorical(
        name="output_layer",
        choices=(CLASSES, NUMBERS),
        default=CLASSES,
        doc="Labels are classes, or numbers.",
    ),
    Categorical(
        name=TIED,
        choices=FLAG,
        default="false",
        doc="Whether both encoders share the tokens' vectors.",
    ),
    Categorical(
        name=STORAGE,
        choices=("dense", "row_sparse"),
        default="dense",
        doc="Whether a step changes all tokens' vectors, or those of the mini-batch.",
    ),
    Continuous(
        name="weight_decay",
        min=0,
        max=10_000,
        default=0.0,
        tunable=Recommended(min=0, max=1),
        doc="L2 regularisation.",
    ),
    FEATURE_DIM,
)


def of_encoder(params: Params, side: int, name: str) -> object:
    """Return a hyperparameter of an encoder: enc1's may be enc0's."""
    own = params.values_by_name.get(f"enc{side}_{name}")
    is_first = side == 1 and params["enc1_network"] == "enc0" and name not in {"max_seq_len", "vocab_size"}
    is_shared = name in {"network", "cnn_filter_width", "layers", "token_embedding_dim"}
    if side and (own is None or (is_first and is_shared)):
        return params[f"enc0_{name}"]
    return own


def width(params: Params, side: int) -> int:
    """Return how many numbers an encoding has."""
    if of_encoder(params, side, "network") == "pooled_embedding":
        return int(str(of_encoder(params, side, "token_embedding_dim")))
    return params.int("enc_dim")


def encodings_fit(params: Params) -> None:
    """Make sure that encodings can be compared."""
    first, second = width(params, 0), width(params, 1)
    if first != second:
        raise CustomerError(
            f"Encodings must be of the same length: enc0 makes {first} numbers and enc1 {second}; that is "
            "enc_dim for hcnn and bilstm, and token_embedding_dim for pooled_embedding"
        )


def tables_fit(params: Params) -> None:
    """Make sure that two encoders can share vectors."""
    if not params.is_true(TIED):
        return
    for name in ("vocab_size", "token_embedding_dim"):
        first, second = (of_encoder(params, side, name) for side in (0, 1))
        if first != second:
            raise CustomerError(
                f"Hyperparameter {TIED}: true needs enc0_{name} and enc1_{name} to be "
                f"equal, and they are {first} and {second}"
            )


def rows_fit(params: Params) -> None:
    """Make sure that the optimiser can change some rows alone."""
    if params[STORAGE] == "row_sparse" and params["optimizer"] not in ROW_SPARSE:
        raise CustomerError(
            f"Hyperparameter optimizer: value {params['optimizer']} does not suit "
            f"{STORAGE} row_sparse: one of {', '.join(ROW_SPARSE)}"
        )


def files_fit(params: Params) -> None:
    """Make sure that pretrained vectors come with their words' tokens."""
    for side in (0, 1):
        for name in (f"enc{side}_pretrained_embedding_file", f"enc{side}_vocab_file"):
            if not _FILE.fullmatch(params.text(name)):
                raise CustomerError(
                    f"Hyperparameter {name}: value {params[name]} must be a file's name: letters, digits, "
                    "underscores and periods"
                )
        vectors, words = (params[f"enc{side}_{name}"] for name in ("pretrained_embedding_file", "vocab_file"))
        if vectors and not words:
            raise CustomerError(
                f"Hyperparameter enc{side}_pretrained_embedding_file: {vectors} needs enc{side}_vocab_file, "
                "which says the token of each word"
            )
