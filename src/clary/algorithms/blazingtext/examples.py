"""Small trainings of BlazingText that together print all its metrics; texts are drawn with a seed."""

from __future__ import annotations

import random

from clary.algorithms.base import Example

_TOPICS = (
    ("goal", "match", "player", "team", "referee"),
    ("oven", "recipe", "flour", "butter", "onion"),
    ("planet", "orbit", "comet", "galaxy", "telescope"),
)


def _sentences(n_sentences: int, seed: int, *, has_labels: bool) -> tuple[bytes, ...]:
    """Return sentences of one topic each, with words of no topic between."""
    draw = random.Random(seed)  # noqa: S311 - example data
    found = []
    for number in range(n_sentences):
        topic = number % len(_TOPICS)
        words = [draw.choice((*_TOPICS[topic], "the", "a", "of")) for _ in range(8)]
        label = [f"__label__{topic}"] if has_labels else []
        found.append((" ".join([*label, *words]) + "\n").encode())
    return tuple(found)


def _judged() -> tuple[bytes, ...]:
    """Return pairs of words, alike where they are of one topic."""
    alike = [(one[0], one[1], 9 - at) for at, one in enumerate(_TOPICS)]
    foreign = [(_TOPICS[at][2], _TOPICS[at - 1][3], at + 1) for at in range(len(_TOPICS))]
    return tuple(f"{one}\t{other}\t{score}\n".encode() for one, other, score in (*alike, *foreign))


def _words(mode: str, doc: str, **hyperparameters: str) -> Example:
    return Example(
        name=mode,
        doc=doc,
        hyperparameters={
            "mode": mode,
            "vector_dim": "8",
            "min_count": "1",
            "epochs": "4",
            "sampling_threshold": "0.1",
            **hyperparameters,
        },
        content_type="text/plain",
        channels={"train": _sentences(240, 1, has_labels=False), "evaluation": _judged()},
        metrics=("train:mean_rho",),
        request_type="application/jsonlines",
        requests=tuple(f'{{"source": "{word}"}}'.encode() for word in ("goal", "oven", "planets")),
    )


EXAMPLES = (
    Example(
        name="supervised",
        doc="Texts of three topics; words and pairs of words say which.",
        hyperparameters={
            "mode": "supervised",
            "vector_dim": "8",
            "min_count": "1",
            "epochs": "6",
            "learning_rate": "0.3",
            "buckets": "1000",
            "early_stopping": "true",
            "min_epochs": "2",
            "patience": "2",
        },
        content_type="text/plain",
        channels={
            "train": _sentences(240, 1, has_labels=True),
            "validation": _sentences(30, 2, has_labels=True),
        },
        metrics=("train:accuracy", "validation:accuracy"),
        request_type="application/jsonlines",
        requests=tuple(
            f'{{"source": "{text}", "k": {k}}}'.encode()
            for k, text in ((1, "goal of the team"), (2, "the oven"), (3, "a comet"))
        ),
    ),
    _words("batch_skipgram", "Vectors of words, by batches of neighbours."),
    _words("skipgram", "Vectors of words and of their pieces.", subwords="true", buckets="500", min_char="2"),
    _words("cbow", "Vectors of words, by the bag of their neighbours."),
)
"""All of them."""
