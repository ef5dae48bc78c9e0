"""Sequence-to-Sequence: pairs as many as Multi30k's, of a language made here; cells of 256, a beam of 5.

No package ships parallel sentences, so both languages are drawn: sentences out of a grammar of 2,000 words;
the other language has words of its own, two of which often mean one, puts the verb last, and
adjectives behind their nouns. `CLARY_BENCH_PAIRS` names a folder with train, val and test files of
two languages, `train.de.gz` and `train.en.gz`, to take instead. The network runs in the environment of torch.
"""

import gzip
import importlib.util
import json
import os
import random
import re
import shutil
import tempfile
from collections import Counter
from pathlib import Path

from bench._bars import Report
from bench.algorithms._trainings import clock, train

from clary.algorithms import base
from clary.algorithms.base import Question
from clary.algorithms.seq2seq import _pairs
from clary.algorithms.seq2seq._bleu import bleu

BUDGET_S, LEAST = 1200.0, 0.25
"""Ten minutes of two cores; BLEU."""
Sentences = list[tuple[list[str], list[str]]]
GIVEN = {
    "rnn_num_hidden": 256,
    "num_embed_source": 256,
    "num_embed_target": 256,
    "max_seq_len_source": 40,
    "max_seq_len_target": 40,
    "learning_rate": 0.001,
    "embed_dropout_source": 0.3,
    "embed_dropout_target": 0.3,
    "rnn_decoder_hidden_dropout": 0.3,
    "bucket_width": 3,
    "checkpoint_frequency_num_batches": 450,
    "max_num_epochs": int(os.environ.get("CLARY_BENCH_EPOCHS", "5")),
}


def run(report: Report) -> None:
    if importlib.util.find_spec("torch") is None:
        print("Seq2Seq: needs torch; run .venvs/torch/bin/python -m bench.algorithms --only seq2seq")
        return
    given, name = os.environ.get("CLARY_BENCH_PAIRS"), "a language made here"
    if given:
        name = Path(given).name
        parts = [_read(Path(given), part) for part in ("train", "val", "test")]
    else:
        parts = [_drawn(n_pairs, seed) for seed, n_pairs in enumerate((29_000, 1_000, 1_000))]
    vocabularies = [_vocabulary([pair[side] for pair in parts[0]]) for side in (0, 1)]
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        for channel, pairs in zip(("train", "validation"), parts, strict=False):
            (folder / channel).mkdir()
            rows = [
                {
                    side: [words.get(word, _pairs.UNKNOWN) for word in text]
                    for side, words, text in zip(("source", "target"), vocabularies, pair, strict=True)
                }
                for pair in pairs
            ]
            (folder / channel / "part.rec").write_bytes(_pairs.written(rows))
        (folder / "vocab").mkdir()
        for file, words in zip(_pairs.FILES, vocabularies, strict=True):
            (folder / "vocab" / file).write_text(json.dumps(words))
        (model_dir, log), seconds = clock(lambda: train("seq2seq", folder, GIVEN))
        predictor = base.find("seq2seq").load(model_dir, {})
        body = "\n".join(json.dumps({"source": " ".join(source)}) for source, _ in parts[2]).encode()
        [answer], asked_s = clock(
            lambda: predictor.predict_many([Question(body=body, content_type="application/jsonlines")]),
            turns=1,
        )
    finally:
        shutil.rmtree(folder)
    found = [json.loads(line)["target"].split() for line in answer.body.splitlines()]
    numbers: dict[str, int] = {}
    texts = [
        [[numbers.setdefault(word, len(numbers)) for word in text] for text in side]
        for side in (found, [target for _, target in parts[2]])
    ]
    score = bleu(*texts)
    perplexity = min(float(part.split()[0]) for part in log.split("validation perplexity <loss>=")[1:])
    n_words = sum(len(target) + 1 for _, target in parts[0]) * GIVEN["max_num_epochs"]
    report.table(
        f"Seq2Seq, {name}, {len(parts[0]):,} pairs, {GIVEN['max_num_epochs']} epochs",
        ("", "CPU seconds", "words/s", "perplexity", "BLEU", "translations/s"),
        [
            (
                "clary",
                f"{seconds:.0f}",
                f"{n_words / seconds:,.0f}",
                f"{perplexity:.2f}",
                f"{100 * score:.1f}",
                f"{len(found) / asked_s:.1f}",
            )
        ],
    )
    report.bar("Seq2Seq: ten minutes of two cores, of 1,200 CPU seconds", seconds / BUDGET_S, 1, "x")
    report.bar("Seq2Seq: what BLEU lacks of 1, beam 5", 1 - score, 1 - LEAST, "")


def _read(folder: Path, part: str) -> Sentences:
    paths = sorted(folder.glob(f"{part}*.gz"))
    texts = [gzip.decompress(path.read_bytes()).decode().splitlines() for path in paths]
    return [
        (re.findall(r"\w+|[^\w\s]", one.lower()), re.findall(r"\w+|[^\w\s]", other.lower()))
        for one, other in zip(*texts, strict=True)
    ]


def _drawn(n_pairs: int, seed: int) -> Sentences:
    draw = random.Random(seed)
    found: Sentences = []
    for _ in range(n_pairs):
        clauses = [_clause(draw) for _ in range(draw.choice((1, 1, 2)))]
        first, second = ([word for clause in clauses for word in clause[side]] for side in (0, 1))
        found.append((first, second))
    return found


def _clause(draw: random.Random) -> tuple[list[str], list[str]]:
    subject, thing = (_phrase(draw) for _ in range(2))
    verb = min(int(draw.expovariate(0.02)), 399)
    return [*subject[0], f"v{verb}", *thing[0]], [*subject[1], *thing[1], f"w{verb // 2}", "ta"]


def _phrase(draw: random.Random) -> tuple[list[str], list[str]]:
    noun, several = min(int(draw.expovariate(0.008)), 1199), draw.random() < 0.3
    first, second = (
        ["the" if draw.random() < 0.5 else "a"],
        [f"n{noun * 2 // 3}", *(["mo"] if several else [])],
    )
    if draw.random() < 0.5:
        adjective = min(int(draw.expovariate(0.02)), 399)
        first.append(f"a{adjective}")
        second.append(f"b{adjective}")
    return [*first, f"n{noun}" + ("s" if several else "")], second


def _vocabulary(texts: list[list[str]]) -> dict[str, int]:
    counts = Counter(word for text in texts for word in text)
    words = [word for word, count in sorted(counts.items()) if count > 1]
    return {word: token for token, word in enumerate([*_pairs.WORDS, *words])}
