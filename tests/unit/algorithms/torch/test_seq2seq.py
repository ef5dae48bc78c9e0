"""Sequence-to-Sequence: pairs, BLEU, beams, requests."""

import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import pytest

from clary.algorithms import base
from clary.algorithms.base import Question, Source, Training
from clary.algorithms.seq2seq import _pairs
from clary.algorithms.seq2seq._bleu import bleu
from clary.algorithms.seq2seq.examples import VOCABULARY
from clary.kernel.errors import CustomerError
from clary.testing.algorithm_suite import train

WORDS = {"<pad>": 0, "<unk>": 1, "<s>": 2, "</s>": 3, "a": 4}


def pairs(folder: Path, rows: list[dict[str, list[int]]]) -> Source:
    folder.mkdir(exist_ok=True)
    (folder / "part").write_bytes(_pairs.written(rows))
    return Source(name="train", path=folder)


def test_records_are_pairs_without_the_tokens_that_are_no_words(tmp_path: Path) -> None:
    source = pairs(tmp_path, [{"source": [4, 300, 5], "target": [2, 6, 7, 3]}])
    assert _pairs.read(source, (400, 10), (2, 9)) == [((4, 300), (6, 7))]


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"source": [4], "target": [10]}, r"part: record 0: target has token 10, not in range \[0, 9\]"),
        ({"source": [4]}, "record 0 has no features 'target'"),
    ],
)
def test_a_record_that_is_no_pair_is_named(row: dict[str, list[int]], text: str, tmp_path: Path) -> None:
    with pytest.raises(CustomerError, match=text):
        _pairs.read(pairs(tmp_path, [row]), (10, 10), (9, 9))


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ('{"<pad>": 0}', r"<unk> as token 1"),
        ('{"<pad>": 0, "<unk>": 7}', "words to tokens 0, 1, 2"),
        ("[]", "words to tokens"),
        ("{", "not JSON"),
    ],
)
def test_a_vocabulary_that_is_none_is_named(words: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "vocab.src.json").write_text(json.dumps(WORDS))
    (tmp_path / "vocab.trg.json").write_text(words)
    with pytest.raises(CustomerError, match=r"vocab\.trg\.json.*" + text):
        _pairs.vocabularies(Source(name="vocab", path=tmp_path))
    (tmp_path / "vocab.trg.json").unlink()
    with pytest.raises(CustomerError, match=r"has no file vocab\.trg\.json"):
        _pairs.vocabularies(Source(name="vocab", path=tmp_path))


def test_bleu_is_that_of_the_paper() -> None:
    """Papineni et al., section 2: clipped counts; and the geometric mean by hand."""
    assert bleu([[1, 2, 3, 4, 5]], [[1, 2, 3, 4, 5]]) == 1
    assert bleu([[1, 1, 1, 1]], [[1, 2, 3, 4]]) == 0
    found = bleu([[1, 2, 3, 4, 9]], [[1, 2, 3, 4, 5]])
    assert found == pytest.approx((4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25)
    short = bleu([[1, 2, 3, 4]], [[1, 2, 3, 4, 5]])
    assert short == pytest.approx(2.718281828 ** (1 - 5 / 4))


def test_bleu_without_its_sample_is_refused() -> None:
    with pytest.raises(CustomerError, match="bleu_sample_size"):
        base.find("seq2seq").validate({"optimized_metric": "bleu"})
    with pytest.raises(CustomerError, match="momentum"):
        base.find("seq2seq").validate({"momentum": "0.9"})


torch = pytest.importorskip("torch", reason="needs pip install 'clary[torch]'")
pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: Any) -> Any:
    algorithm, example = base.find("seq2seq"), base.examples("seq2seq")[0]
    return algorithm.load(train(algorithm, example, tmp_path_factory.mktemp("model")), {})


def ask(predictor: Any, body: bytes, content_type: str = "application/json", accept: str = "") -> Any:
    [answer] = predictor.predict_many([Question(body=body, content_type=content_type, accept=accept)])
    return answer


def test_three_forms_say_the_same(predictor: Any) -> None:
    words = json.loads(VOCABULARY)
    text = "a b h"
    answer = ask(predictor, json.dumps({"instances": [{"data": text}]}).encode())
    said = json.loads(answer.body)["predictions"][0]["target"]
    lines = ask(predictor, json.dumps({"source": text}).encode(), "application/jsonlines")
    assert json.loads(lines.body) == {"target": said}
    record = _pairs.written([{"source": [words[each] for each in text.split()]}])
    answer = ask(predictor, record, "application/x-recordio-protobuf", "application/x-recordio-protobuf")
    from clary.toolkit.formats.recordio_protobuf import decode_records  # noqa: PLC0415 - here alone

    [found] = decode_records(answer.body)
    assert found.features["target"].values.tolist() == [words[each] for each in said.split()]


def test_attention_has_a_row_for_each_word_that_was_said(predictor: Any) -> None:
    one = {"data": "a b c", "configuration": {"attention_matrix": "true"}}
    answer = ask(predictor, json.dumps({"instances": [one]}).encode())
    [found] = json.loads(answer.body)["predictions"]
    assert len(found["matrix"]) == len(found["target"].split())
    for row in found["matrix"]:
        assert len(row) == 3
        assert sum(row) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("body", "status"),
    [(b'{"instances": [{"source": "a"}]}', 400), (b'{"instances": []}', 400), (b"{", 400)],
)
def test_a_request_that_is_none_is_refused(predictor: Any, body: bytes, status: int) -> None:
    assert ask(predictor, body).status == status
    assert ask(predictor, b'{"instances": [{"data": "a"}]}', accept="text/csv").status == 406


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["rnn", "cnn"])
def test_it_learns_to_reverse(kind: str, tmp_path: Path) -> None:
    draw = random.Random(1)
    drawn = [[draw.randrange(4, 12) for _ in range(draw.randrange(1, 6))] for _ in range(440)]
    records = tuple(_pairs.written([{"source": each, "target": each[::-1]}]) for each in drawn)
    algorithm, example = base.find("seq2seq"), base.examples("seq2seq")[0]
    widths = ("rnn_num_hidden", "cnn_num_hidden", "num_embed_source", "num_embed_target")
    width = dict.fromkeys(widths, "48")
    given = {"encoder_type": kind, "decoder_type": kind, "learning_rate": "0.005", "max_num_epochs": "30"}
    often = {"batch_size": "20", "bleu_sample_size": "0", "checkpoint_frequency_num_batches": "100"}
    example = dataclasses.replace(
        example,
        hyperparameters={**example.hyperparameters, **width, **given, **often},
        channels={"train": records[40:], "validation": records[:40]},
    )
    predictor = algorithm.load(train(algorithm, example, tmp_path), {})
    sources = ["a b c", "h g", "d e a b"]
    body = json.dumps({"instances": [{"data": each} for each in sources]}).encode()
    found = [each["target"] for each in json.loads(ask(predictor, body).body)["predictions"]]
    right = sum(one == " ".join(reversed(other.split())) for one, other in zip(found, sources, strict=True))
    assert right >= 2, found


@pytest.mark.torch
@pytest.mark.parametrize(("least", "n_passes"), [(0, 2), (4, 5)])
def test_a_lack_of_progress_ends_no_training_before_its_least_epochs(
    least: int, n_passes: int, tmp_path: Path, capfd: Any
) -> None:
    algorithm, example = base.find("seq2seq"), base.examples("seq2seq")[0]
    given = {name: each for name, each in example.hyperparameters.items() if name != "max_num_epochs"}
    given |= {"learning_rate": "1e-30", "min_num_epochs": str(least), "checkpoint_threshold": "1"}
    given |= {"checkpoint_frequency_num_batches": "1", "bleu_sample_size": "0", "batch_size": "4096"}
    train(algorithm, dataclasses.replace(example, hyperparameters=given), tmp_path)
    assert capfd.readouterr().out.count("Train-perplexity=") == n_passes


def test_fewer_epochs_at_most_than_at_least_are_refused() -> None:
    with pytest.raises(CustomerError, match="max_num_epochs: value 2 is less than min_num_epochs, 3"):
        base.find("seq2seq").validate({"max_num_epochs": "2", "min_num_epochs": "3"})


@pytest.mark.torch
def test_a_retry_goes_on_where_the_last_run_was_stopped(tmp_path: Path, capfd: Any) -> None:
    pytest.importorskip("torch", reason="needs pip install 'clary[torch]'")
    algorithm, example = base.find("seq2seq"), base.examples("seq2seq")[0]
    sources = {}
    for name, records in example.channels.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "part").write_bytes(b"".join(records))
        sources[name] = Source(name=name, path=tmp_path / name)
    (tmp_path / "vocab").mkdir()
    for name, content in example.files["vocab"].items():
        (tmp_path / "vocab" / name).write_bytes(content)
    sources["vocab"] = Source(name="vocab", path=tmp_path / "vocab")
    for n_epochs in ("1", "3"):
        model_dir = tmp_path / f"model-{n_epochs}"
        model_dir.mkdir()
        algorithm.fit(
            Training(
                params=algorithm.validate({**example.hyperparameters, "max_num_epochs": n_epochs}),
                sources=sources,
                model_dir=model_dir,
                output_data_dir=tmp_path / "output",
                checkpoint_dir=tmp_path / "checkpoints",
                n_threads=1,
            )
        )
    assert "Resuming after epoch 1" in capfd.readouterr().out
    assert (tmp_path / "model-3/model_algo-1").is_file()
