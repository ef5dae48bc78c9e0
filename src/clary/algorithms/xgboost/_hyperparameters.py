"""The hyperparameters of XGBoost, as the service's container declares them; standard library only."""

from clary.toolkit.hyperlists import Groups, Signs, Words
from clary.toolkit.hyperparameters import (
    Categorical,
    Continuous,
    Hyperparameter,
    Integer,
    Recommended,
)

FLAG = ("true", "false")

MAXIMIZED = (
    "accuracy",
    "auc",
    "aucpr",
    "balanced_accuracy",
    "f1",
    "f1_binary",
    "f1_macro",
    "map",
    "ndcg",
    "precision",
    "precision_macro",
    "precision_micro",
    "r2",
    "recall",
    "recall_macro",
    "recall_micro",
)
MINIMIZED = (
    "aft-nloglik",
    "cox-nloglik",
    "error",
    "gamma-deviance",
    "gamma-nloglik",
    "interval-regression-accuracy",
    "logloss",
    "mae",
    "mape",
    "merror",
    "mlogloss",
    "mphe",
    "mse",
    "poisson-nloglik",
    "rmse",
    "rmsle",
    "tweedie-nloglik",
)

OBJECTIVES = (
    "binary:logistic",
    "binary:logitraw",
    "binary:hinge",
    "count:poisson",
    "multi:softmax",
    "multi:softprob",
    "rank:pairwise",
    "rank:ndcg",
    "rank:map",
    "reg:linear",
    "reg:squarederror",
    "reg:logistic",
    "reg:gamma",
    "reg:pseudohubererror",
    "reg:squaredlogerror",
    "reg:absoluteerror",
    "reg:tweedie",
    "survival:aft",
    "survival:cox",
)

UPDATERS = (
    "grow_colmaker",
    "distcol",
    "grow_histmaker",
    "grow_skmaker",
    "grow_quantile_histmaker",
    "sync",
    "refresh",
    "prune",
    "shotgun",
    "coord_descent",
)

_LEARNING = (
    Integer(
        name="num_round",
        min=1,
        tunable=Recommended(min=1, max=4000),
        doc="Boosting rounds.",
    ),
    Categorical(
        name="objective", choices=OBJECTIVES, default=None, usual="reg:squarederror", doc="What is learnt."
    ),
    Integer(
        name="num_class", min=2, default=None, doc="Classes; required with multi:softmax and multi:softprob."
    ),
    Words(
        name="eval_metric",
        choices=(*MAXIMIZED, *MINIMIZED),
        prefixes=("error", "ndcg", "map"),
        default=None,
        usual="by the objective",
        doc="Metrics to print, separated by commas.",
    ),
    Integer(name="early_stopping_rounds", min=1, default=None, doc="Stop after so many rounds without gain."),
    Continuous(
        name="base_score",
        min=0,
        default=None,
        usual="from the labels",
        doc="Initial prediction of every row.",
    ),
    Integer(
        name="seed",
        above=-(2**31),
        below=2**31 - 1,
        default=None,
        usual="0",
        doc="Seed of the random numbers.",
    ),
    Continuous(
        name="scale_pos_weight", above=0, default=None, usual="1", doc="Weight of the positive class."
    ),
    Continuous(
        name="tweedie_variance_power",
        above=1,
        below=2,
        default=None,
        usual="1.5",
        doc="Variance power of the Tweedie distribution.",
    ),
    Categorical(
        name="aft_loss_distribution",
        choices=("normal", "logistic", "extreme"),
        default=None,
        usual="normal",
        doc="Noise of survival:aft.",
    ),
    Continuous(
        name="aft_loss_distribution_scale", min=0, default=None, usual="1", doc="Scale of that noise."
    ),
)

_TREES = (
    Categorical(
        name="booster",
        choices=("gbtree", "gblinear", "dart"),
        default=None,
        usual="gbtree",
        doc="Kind of model.",
    ),
    Continuous(
        name="eta",
        min=0,
        max=1,
        aliases=("learning_rate",),
        tunable=Recommended(min=0.1, max=0.5),
        default=None,
        usual="0.3",
        doc="Shrinkage of each round.",
    ),
    Continuous(
        name="gamma",
        min=0,
        aliases=("min_split_loss",),
        tunable=Recommended(min=0, max=5),
        default=None,
        usual="0",
        doc="Least loss reduction of a split.",
    ),
    Integer(
        name="max_depth",
        min=0,
        tunable=Recommended(min=0, max=10),
        default=None,
        usual="6",
        doc="Depth of a tree; 0 means no limit.",
    ),
    Continuous(
        name="min_child_weight",
        min=0,
        tunable=Recommended(min=0, max=120),
        default=None,
        usual="1",
        doc="Least hessian of a leaf.",
    ),
    Continuous(
        name="max_delta_step",
        min=0,
        tunable=Recommended(min=0, max=10),
        default=None,
        usual="0",
        doc="Largest output of a leaf.",
    ),
    Continuous(
        name="subsample",
        min=0,
        max=1,
        tunable=Recommended(min=0.5, max=1),
        default=None,
        usual="1",
        doc="Share of rows a round.",
    ),
    Continuous(
        name="colsample_bytree",
        min=0,
        max=1,
        tunable=Recommended(min=0.5, max=1),
        default=None,
        usual="1",
        doc="Share of columns a tree.",
    ),
    Continuous(
        name="colsample_bylevel",
        min=0,
        max=1,
        tunable=Recommended(min=0.1, max=1),
        default=None,
        usual="1",
        doc="Share of columns a level.",
    ),
    Continuous(
        name="colsample_bynode",
        above=0,
        max=1,
        tunable=Recommended(min=0.1, max=1),
        default=None,
        usual="1",
        doc="Share of columns a split.",
    ),
    Continuous(
        name="lambda",
        min=0,
        aliases=("reg_lambda",),
        tunable=Recommended(min=0, max=1000),
        default=None,
        usual="1",
        doc="L2 penalty on weights.",
    ),
    Continuous(
        name="alpha",
        min=0,
        aliases=("reg_alpha",),
        tunable=Recommended(min=0, max=1000),
        default=None,
        usual="0",
        doc="L1 penalty on weights.",
    ),
    Categorical(
        name="tree_method",
        choices=("auto", "exact", "approx", "hist", "gpu_hist"),
        default=None,
        usual="auto",
        doc="How trees grow; gpu_hist is hist on a GPU.",
    ),
    Categorical(
        name="grow_policy",
        choices=("depthwise", "lossguide"),
        default=None,
        usual="depthwise",
        doc="Which node splits next.",
    ),
    Integer(name="max_leaves", min=0, default=None, usual="0", doc="Leaves of a tree; 0 means no limit."),
    Integer(name="max_bin", min=0, default=None, usual="256", doc="Bins of a column."),
    Continuous(name="sketch_eps", above=0, below=1, default=None, doc="1 / bins, where max_bin is absent."),
    Integer(
        name="num_parallel_tree", min=1, default=None, usual="1", doc="Trees a round: boosted random forests."
    ),
    Categorical(
        name="sampling_method",
        choices=("uniform", "gradient_based"),
        default=None,
        usual="uniform",
        doc="How rows are drawn on a GPU.",
    ),
    Signs(name="monotone_constraints", default=None, doc="Direction of each column's effect."),
    Groups(name="interaction_constraints", default=None, doc="Columns that may meet in a tree."),
    Words(
        name="updater", choices=UPDATERS, default=None, usual="by tree_method", doc="Tree updaters, in order."
    ),
    Integer(
        name="refresh_leaf",
        min=0,
        max=1,
        default=None,
        usual="1",
        doc="Whether `refresh` changes leaves too.",
    ),
    Categorical(
        name="process_type",
        choices=("default", "update"),
        default=None,
        usual="default",
        doc="Grow trees, or update old ones.",
    ),
)

_DART = (
    Categorical(
        name="sample_type",
        choices=("uniform", "weighted"),
        default=None,
        usual="uniform",
        doc="How dart drops trees.",
    ),
    Categorical(
        name="normalize_type",
        choices=("tree", "forest"),
        default=None,
        usual="tree",
        doc="How dart weighs new trees.",
    ),
    Continuous(
        name="rate_drop", min=0, max=1, default=None, usual="0", doc="Share of trees that dart drops."
    ),
    Integer(
        name="one_drop", min=0, max=1, default=None, usual="0", doc="Whether dart drops at least one tree."
    ),
    Continuous(name="skip_drop", min=0, max=1, default=None, usual="0", doc="Chance that dart drops none."),
)

_JOB = (
    Integer(
        name="csv_weights",
        min=0,
        max=1,
        default=None,
        usual="0",
        doc="Whether column 2 of CSV holds row weights.",
    ),
    Categorical(
        name="save_model_on_termination",
        choices=FLAG,
        default=None,
        usual="false",
        doc="Whether a stopped job leaves its model.",
    ),
    Integer(name="nthread", min=1, default=None, usual="all of the job", doc="Threads."),
    Integer(
        name="verbosity", min=0, max=3, default=None, usual="1", doc="0 silent, 1 warning, 2 info, 3 debug."
    ),
    Integer(name="_kfold", min=2, default=None, doc="Folds of a cross validation over train and validation."),
    Integer(
        name="_num_cv_round",
        min=1,
        default=None,
        usual="1",
        doc="Times that the cross validation is repeated.",
    ),
    Categorical(
        name="_tuning_objective_metric",
        choices=tuple(
            f"{channel}:{name}" for channel in ("validation", "train") for name in (*MAXIMIZED, *MINIMIZED)
        ),
        default=None,
        doc="Set by tuning: its objective.",
    ),
)

_WITHOUT_EFFECT = (
    Categorical(name="deterministic_histogram", choices=FLAG, default=None, doc="Always so."),
    Categorical(name="single_precision_histogram", choices=FLAG, default=None, doc="Gone from XGBoost 1.6."),
    Categorical(
        name="predictor",
        choices=("auto", "cpu_predictor", "gpu_predictor"),
        default=None,
        doc="Gone from XGBoost 2: follows the data.",
    ),
    Categorical(name="dsplit", choices=("row", "col"), default=None, doc="Gone: hosts hold rows."),
    Integer(name="prob_buffer_row", above=1, default=None, doc="Gone."),
    Continuous(name="lambda_bias", min=0, max=1, default=None, doc="Gone."),
    Integer(name="silent", min=0, max=1, default=None, doc="Of XGBoost 0.72: 1 is verbosity 0."),
    Categorical(
        name="use_dask_gpu_training", choices=FLAG, default=None, doc="One process trains on all GPUs here."
    ),
)

HYPERPARAMETERS: tuple[Hyperparameter, ...] = (*_LEARNING, *_TREES, *_DART, *_JOB, *_WITHOUT_EFFECT)
"""All of them."""
