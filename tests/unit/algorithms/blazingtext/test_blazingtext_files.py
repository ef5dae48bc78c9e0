"""fastText's binaries: files that fastText 0.9.2 wrote, and what it said by them, beside them as JSON."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clary.algorithms.blazingtext import _fasttext
from clary.algorithms.blazingtext.predict import TextPredictor, load
from clary.kernel.errors import CustomerError
from clary.toolkit.kernels import tokens

FOLDER = Path(__file__).parent / "fasttext"
SAID = json.loads((FOLDER / "said.json").read_text())
FILES = ("softmax", "hs", "ova", "pieces")


@pytest.mark.parametrize("name", FILES)
def test_a_model_of_fasttext_is_written_again_as_it_was(name: str, tmp_path: Path) -> None:
    model = _fasttext.read(FOLDER / f"{name}.bin")
    _fasttext.write(tmp_path / "again.bin", model)
    assert (tmp_path / "again.bin").read_bytes() == (FOLDER / f"{name}.bin").read_bytes()


@pytest.mark.parametrize("name", ["softmax", "hs", "ova"])
def test_labels_have_the_chances_that_fasttext_says(name: str) -> None:
    model = _fasttext.read(FOLDER / f"{name}.bin")
    apart = 0.01 if name == "ova" else 2e-5  # there it reads the logistic function off a table
    for text, wanted in SAID[name].items():
        chances = TextPredictor(model).chances(text)
        for label, chance in wanted:
            # fastText adds 1e-5 before it takes the logarithm
            assert chances[model.labels.index(label.encode())] == pytest.approx(chance - 1e-5, abs=apart), (
                text
            )


def test_words_have_the_vectors_that_fasttext_says_known_or_not() -> None:
    predictor = TextPredictor(_fasttext.read(FOLDER / "pieces.bin"))
    for word, wanted in SAID["pieces"].items():
        assert predictor.vector(word) == pytest.approx(np.array(wanted), abs=1e-6), word


def test_rows_of_zeros_are_read_as_they_were_written(tmp_path: Path) -> None:
    ins = np.zeros((5000, 3), np.float32)
    ins[[0, 4000]] = 1.5
    model = _fasttext.FastText(
        arguments={
            "dim": 3,
            "loss": _fasttext.NEGATIVES,
            "model": _fasttext.SKIPGRAM,
            "bucket": 4999,
            "maxn": 3,
        },
        words=[b"word"],
        counts=np.array([7]),
        ins=ins,
        outs=np.zeros((1, 3), np.float32),
    )
    _fasttext.write(tmp_path / "model.bin", model)
    found = _fasttext.read(tmp_path / "model.bin")
    np.testing.assert_array_equal(found.ins, ins)
    np.testing.assert_array_equal(found.outs, model.outs)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda content: content[:200], "it is damaged"),
        (lambda content: content[:-9], "it ends within its last rows"),
        (lambda content: b"\0" + content[1:], "no binary of fastText, version 11 or 12"),
        (lambda content: b"", "it is damaged"),
    ],
)
def test_a_file_that_is_no_model_is_refused_with_its_name(change: Any, reason: str, tmp_path: Path) -> None:
    (tmp_path / "own.bin").write_bytes(change((FOLDER / "softmax.bin").read_bytes()))
    with pytest.raises(CustomerError, match=reason) as refused:
        load(tmp_path, {})
    assert "own.bin" in str(refused.value)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CustomerError, match=r"there is no file model\.bin or vectors\.bin"):
        load(tmp_path, {})


def test_pieces_and_runs_are_hashed_alike_with_and_without_numba() -> None:
    words = [b"goal", "straße".encode(), b"a", "日本".encode()]
    firsts, found = tokens.pieces_of(words, 1, 4, 1000)
    for place, word in enumerate(words):
        assert found[firsts[place] : firsts[place + 1]].tolist() == tokens.pieces(word, 1, 4, 1000)
    numbered = tokens.Words()
    numbered.add(b" ".join(words) + b" ")
    assert numbered.hashes.tolist() == [tokens.hashed(word) for word in words]
