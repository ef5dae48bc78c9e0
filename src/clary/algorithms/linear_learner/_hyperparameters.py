"""The hyperparameters of Linear Learner; standard library only.

Source: developer guide, "Linear Learner Hyperparameters", "Tune a linear learner model"; SDK,
`amazon/linear_learner.py`, for open ends of ranges. What `auto` chooses is written where it is chosen.
"""

from clary.algorithms._declared import FLAG
from clary.toolkit.hyperparameters import Categorical, Continuous, Hyperparameter, Integer, Recommended

AUTO = ("auto",)
CLASSES = "multiclass_classifier"
BINARY = "binary_classifier"
REGRESSOR = "regressor"
LOSSES = {
    BINARY: ("logistic", "hinge_loss"),
    CLASSES: ("softmax_loss",),
    REGRESSOR: (
        "squared_loss",
        "absolute_loss",
        "eps_insensitive_squared_loss",
        "eps_insensitive_absolute_loss",
        "quantile_loss",
        "huber_loss",
    ),
}
"""By predictor type; the first is what `auto` chooses."""


def _positive(name: str, doc: str, default: object, **more: object) -> Continuous:
    return Continuous(name=name, above=0, default=default, doc=doc, **more)  # type: ignore[arg-type]


def _share(name: str, doc: str, default: object, **more: object) -> Continuous:
    return Continuous(name=name, above=0, below=1, default=default, doc=doc, **more)  # type: ignore[arg-type]


def _decay(name: str, doc: str) -> Continuous:
    return Continuous(name=name, min=0, below=1, words=AUTO, default="auto", doc=doc)


def _choice(name: str, doc: str, choices: tuple[str, ...], default: str) -> Categorical:
    return Categorical(name=name, choices=choices, default=default, doc=doc)


def _count(name: str, doc: str, default: object, **more: object) -> Integer:
    return Integer(name=name, min=1, default=default, doc=doc, **more)  # type: ignore[arg-type]


_WHAT: tuple[Hyperparameter, ...] = (
    Categorical(name="predictor_type", choices=(BINARY, CLASSES, REGRESSOR), doc="What is predicted."),
    _count("feature_dim", "Features of a row; auto takes those of the first rows.", "auto", words=AUTO),
    Integer(
        name="num_classes", min=3, max=1_000_000, default=None, doc="Classes, labelled from 0; multiclass."
    ),
    _choice(
        "loss",
        "Loss: logistic, softmax_loss or squared_loss if auto.",
        ("auto", *(each for group in LOSSES.values() for each in group)),
        "auto",
    ),
    Categorical(
        name="use_bias",
        choices=FLAG,
        default="true",
        tunable=FLAG,
        doc="Whether there is an intercept.",
    ),
    Continuous(name="margin", min=0, default=1.0, doc="Margin of hinge_loss."),
    _share("quantile", "Quantile of quantile_loss.", 0.5),
    _positive("loss_insensitivity", "Errors below count as none, in eps_insensitive losses.", 0.01),
    Continuous(name="huber_delta", min=0, default=1.0, doc="Errors below are squared, in huber_loss."),
)

_HOW: tuple[Hyperparameter, ...] = (
    _count("epochs", "Passes over the data, at most.", 15),
    _count("mini_batch_size", "Rows of a mini-batch.", 1000, tunable=Recommended(min=100, max=5000)),
    _choice("optimizer", "adam if auto.", ("auto", "sgd", "adam", "rmsprop"), "auto"),
    _positive(
        "learning_rate",
        "Step size; auto depends on the optimizer.",
        "auto",
        words=AUTO,
        tunable=Recommended(min=1e-5, max=1, scale="Logarithmic"),
    ),
    Continuous(
        name="wd",
        min=0,
        words=AUTO,
        default="auto",
        tunable=Recommended(min=1e-7, max=1, scale="Logarithmic"),
        doc="Weight of the squared weights.",
    ),
    Continuous(
        name="l1",
        min=0,
        words=AUTO,
        default="auto",
        tunable=Recommended(min=1e-7, max=1, scale="Logarithmic"),
        doc="Weight of the absolute weights.",
    ),
    _decay("momentum", "Of sgd; 0.9 if auto."),
    _decay("beta_1", "Of adam, for means; 0.9 if auto."),
    _decay("beta_2", "Of adam, for squares; 0.999 if auto."),
    _positive("bias_lr_mult", "Step size of the bias, as a multiple; 1 if auto.", "auto", words=AUTO),
    Continuous(
        name="bias_wd_mult",
        min=0,
        words=AUTO,
        default="auto",
        doc="wd of the bias, as a multiple; 0 if auto.",
    ),
    _choice("use_lr_scheduler", "Whether the step size decreases.", FLAG, "true"),
    _count("lr_scheduler_step", "Mini-batches between decreases; 10 if auto.", "auto", words=AUTO),
    _share("lr_scheduler_factor", "By what it is multiplied; 0.99 if auto.", "auto", words=AUTO),
    _positive("lr_scheduler_minimum_lr", "Least step size; 1e-5 if auto.", "auto", words=AUTO),
    _count("num_models", "Models of one pass; 32 if auto, 1 while tuning.", "auto", words=AUTO),
    _choice("init_method", "How weights start.", ("uniform", "normal"), "uniform"),
    _positive("init_scale", "Range of uniform ones.", 0.07),
    _positive("init_sigma", "Standard deviation of normal ones.", 0.01),
    Continuous(name="init_bias", default=0.0, doc="Where the bias starts."),
)

_DATA: tuple[Hyperparameter, ...] = (
    _choice(
        "normalize_data", "Whether features get mean 0 and deviation 1.", ("true", "false", "auto"), "true"
    ),
    _choice(
        "normalize_label", "The same of labels; auto: of a regressor.", ("auto", "true", "false"), "auto"
    ),
    _choice(
        "unbias_data", "Whether features get mean 0; auto: with a bias.", ("auto", "true", "false"), "auto"
    ),
    _choice("unbias_label", "The same of labels, of a regressor.", ("auto", "true", "false"), "auto"),
    _count("num_point_for_scaler", "Rows from which mean and deviation are taken.", 10_000),
    _positive(
        "positive_example_weight_mult",
        "Weight of positive rows; balanced: as all negative ones; auto: both are tried.",
        1.0,
        words=("balanced", "auto"),
        tunable=Recommended(min=1e-5, max=1e5, scale="Logarithmic"),
    ),
    _choice("balance_multiclass_weights", "Whether classes have equal weight.", FLAG, "false"),
)

_SELECTION: tuple[Hyperparameter, ...] = (
    _choice(
        "binary_classifier_model_selection_criteria",
        "What chooses the model and its threshold.",
        (
            "accuracy",
            "f_beta",
            "precision_at_target_recall",
            "recall_at_target_precision",
            "loss_function",
            "f1",
            "cross_entropy_loss",
        ),
        "accuracy",
    ),
    _share("target_precision", "Of recall_at_target_precision.", 0.8),
    _share("target_recall", "Of precision_at_target_recall.", 0.8),
    _positive("f_beta", "Weight of recall in F scores.", 1.0),
    Integer(name="accuracy_top_k", min=1, max=1_000_000, default=3, doc="Of multiclass_top_k_accuracy."),
    _count("num_calibration_samples", "Rows for choosing; 20,000 if auto.", "auto", words=AUTO),
    _count("early_stopping_patience", "Epochs without improvement before the end.", 3),
    _positive("early_stopping_tolerance", "Least relative improvement that counts.", 0.001),
)

HYPERPARAMETERS = (*_WHAT, *_HOW, *_DATA, *_SELECTION)
