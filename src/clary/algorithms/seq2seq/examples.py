"""Small trainings of Sequence-to-Sequence that print all its metrics; sequences are drawn with a seed."""

from __future__ import annotations

import json
import random

from clary.algorithms.base import Example

_WORDS = 8
_ALL = 4 + _WORDS


def _record(source: list[int], target: list[int]) -> bytes:
    """Return one record, as the conversion script of the service writes it."""
    payload = b""
    for name, tokens in (("source", source), ("target", target)):
        values = bytes((10, len(tokens), *tokens))  # all tokens are below 128, and lists are short
        pair = bytes((10, len(name), *name.encode(), 18, len(values) + 2, 58, len(values))) + values
        payload += bytes((10, len(pair))) + pair
    padding = b"\0" * (-len(payload) % 4)
    return (0xCED7230A).to_bytes(4, "little") + len(payload).to_bytes(4, "little") + payload + padding


def _pairs(n_pairs: int, seed: int) -> tuple[bytes, ...]:
    """Return sequences and their reversals."""
    draw = random.Random(seed)  # noqa: S311 - example data
    rows = []
    for _ in range(n_pairs):
        source = [draw.randrange(4, _ALL) for _ in range(draw.randrange(1, 6))]
        rows.append(_record(source, source[::-1]))
    return tuple(rows)


VOCABULARY = json.dumps(
    {word: token for token, word in enumerate(["<pad>", "<unk>", "<s>", "</s>", *"abcdefgh"])}
)


def _example(name: str, doc: str, **hyperparameters: str) -> Example:
    return Example(
        name=name,
        doc=doc,
        hyperparameters={
            "max_seq_len_source": "8",
            "max_seq_len_target": "8",
            "num_embed_source": "6",
            "num_embed_target": "6",
            "rnn_num_hidden": "8",
            "cnn_num_hidden": "8",
            "batch_size": "10",
            "max_num_epochs": "1",
            "checkpoint_frequency_num_batches": "3",
            "bleu_sample_size": "4",
            "learning_rate": "0.01",
            **hyperparameters,
        },
        content_type="application/x-recordio-protobuf",
        channels={"train": _pairs(40, 1), "validation": _pairs(8, 2)},
        files={"vocab": {"vocab.src.json": VOCABULARY.encode(), "vocab.trg.json": VOCABULARY.encode()}},
        metrics=(
            "validation:accuracy",
            "validation:bleu",
            "validation:perplexity",
            "train:progress",
            "train:throughput",
        ),
        request_type="application/json",
        requests=tuple(
            json.dumps(
                {"instances": [{"data": " ".join(text), "configuration": {"attention_matrix": "true"}}]}
            ).encode()
            for text in ("abc", "h", "abcdef")
        ),
    )


EXAMPLES = (
    _example("cells", "Recurrent cells, and attention of mlp.", num_layers_decoder="2"),
    _example(
        "gates",
        "Gated cells with residual layers, and bilinear attention.",
        rnn_cell_type="gru",
        rnn_attention_type="bilinear",
        num_layers_encoder="3",
        num_layers_decoder="2",
        rnn_residual_connections="true",
        rnn_decoder_state_init="avg",
        optimizer_type="rmsprop",
        embed_dropout_source="0.1",
    ),
    _example(
        "convolutions",
        "Convolutions on both sides.",
        encoder_type="cnn",
        decoder_type="cnn",
        num_layers_encoder="2",
        optimizer_type="sgd",
        momentum="0.5",
    ),
)
"""All of them."""
