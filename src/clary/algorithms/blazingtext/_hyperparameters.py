"""Hyperparameters of BlazingText; standard library only.

Source: developer guide, "BlazingText Hyperparameters" and "Tune a BlazingText Model".
"""

from __future__ import annotations

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

BATCH_SKIPGRAM, SKIPGRAM, CBOW, SUPERVISED = "batch_skipgram", "skipgram", "cbow", "supervised"
WORDS = (BATCH_SKIPGRAM, SKIPGRAM, CBOW)
"""Modes that learn vectors of words."""
_MOST = 2**31 - 1

HYPERPARAMETERS: tuple[Hyperparameter, ...] = (
    Categorical(
        name="mode",
        choices=(*WORDS, SUPERVISED),
        tunable=WORDS,
        doc="Vectors of words, by one of three ways, or labels of texts.",
    ),
    Integer(
        name="batch_size",
        min=1,
        default=11,
        tunable=Recommended(min=8, max=32),
        doc="Of batch_skipgram: neighbours that share what is drawn against them; 10 to 20 is good.",
    ),
    Integer(
        name="buckets",
        min=1,
        max=_MOST,
        default=2_000_000,
        tunable=Recommended(min=1_000_000, max=10_000_000),
        doc="Vectors that pieces of words, or runs of words, are hashed to.",
    ),
    Categorical(
        name="early_stopping",
        choices=FLAG,
        default="false",
        doc="Of supervised: whether training ends when the validation accuracy no longer rises.",
    ),
    Integer(name="epochs", min=1, default=5, tunable=Recommended(min=5, max=15), doc="Passes, at most."),
    Categorical(
        name="evaluation",
        choices=FLAG,
        default="true",
        doc="Of words: whether they are judged by pairs of words that people have judged.",
    ),
    Continuous(
        name="learning_rate",
        above=0,
        default=0.05,
        tunable=Recommended(min=0.005, max=0.01),
        doc="Length of the first steps; it falls to 0 in a line.",
    ),
    Integer(name="min_char", min=1, default=3, doc="With subwords: characters of a piece, at least."),
    Integer(name="max_char", min=1, default=6, doc="With subwords: characters of a piece, at most."),
    Integer(
        name="min_count",
        min=0,
        default=5,
        tunable=Recommended(min=0, max=100),
        doc="Words that are rarer are left out.",
    ),
    Integer(name="min_epochs", min=1, default=5, doc="With early_stopping: passes, at least."),
    Integer(
        name="negative_samples",
        min=1,
        default=5,
        tunable=Recommended(min=5, max=25),
        doc="Of words: words that are drawn against each that is there.",
    ),
    Integer(
        name="patience",
        min=1,
        default=4,
        doc="With early_stopping: passes without a better validation accuracy after which training ends.",
    ),
    Continuous(
        name="sampling_threshold",
        above=0,
        max=1,
        default=0.0001,
        tunable=Recommended(min=0.0001, max=0.001),
        doc="Of words: share of the text above which a word is left out now and then.",
    ),
    Categorical(
        name="subwords",
        choices=FLAG,
        default="false",
        doc="Of skipgram and cbow: whether words are made of pieces too, so that unknown ones have vectors.",
    ),
    Integer(
        name="vector_dim",
        min=1,
        default=100,
        tunable=Recommended(min=32, max=300),
        doc="Numbers in a vector.",
    ),
    Integer(
        name="window_size",
        min=1,
        default=5,
        tunable=Recommended(min=1, max=10),
        doc="Of words: neighbours on each side, at most.",
    ),
    Integer(
        name="word_ngrams",
        min=1,
        default=2,
        tunable=Recommended(min=1, max=3),
        doc="Of supervised: words of a run that is a feature, at most.",
    ),
)


def pieces_fit(params: Params) -> None:
    """Refuse pieces of words where the mode has none, or lengths in the wrong order."""
    if not params.is_true("subwords"):
        return
    if params["mode"] not in {SKIPGRAM, CBOW}:
        raise CustomerError(
            f"Hyperparameter subwords: true needs mode skipgram or cbow, and mode is {params['mode']}"
        )
    shortest, longest = params.int("min_char"), params.int("max_char")
    if shortest > longest:
        raise CustomerError(
            f"Hyperparameters min_char: {shortest} and max_char: {longest}: min_char must be at most max_char"
        )
