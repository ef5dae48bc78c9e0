"""BlazingText's half of a GPU, on torch's processor and on tensors that have no numbers.

Words are drawn otherwise than by the processor's loops, and mini-batches move together: one step is compared
with the loops' own, and whole trainings by what their models are worth.
"""

import json
import random
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clary.algorithms import _gpu, base
from clary.algorithms.base import Source, Training
from clary.algorithms.blazingtext import _corpus, _device
from clary.algorithms.blazingtext import _device_labels as labels_module
from clary.algorithms.blazingtext import _device_words as words_module
from clary.algorithms.blazingtext._classifier import Classifier
from clary.algorithms.blazingtext._device import DeviceRows
from clary.algorithms.blazingtext._device_labels import DeviceClassifier
from clary.algorithms.blazingtext._device_words import DeviceVectors
from clary.testing.several_hosts import HOSTS, together

torch = pytest.importorskip("torch", reason="needs pip install 'clary[torch]'")

pytestmark = pytest.mark.torch

TEXTS = base.find("blazingtext")
N_TOPICS = 12
MODES = ("batch_skipgram", "skipgram", "cbow")
WAYS = [*((mode, "false") for mode in MODES), ("skipgram", "true"), ("cbow", "true")]


def gpu() -> _gpu.Gpu:
    return _gpu.Gpu(torch, torch.device("cpu"))


def sentences(n: int, seed: int = 1, *, has_labels: bool = False) -> bytes:
    """Return sentences of one topic each, with words of no topic between."""
    draw, lines = random.Random(seed), []
    for _ in range(n):
        topic = draw.randrange(N_TOPICS)
        words = [
            f"w{topic}x{draw.randrange(20)}" if draw.random() < 0.6 else f"the{draw.randrange(30)}"
            for _ in range(draw.randrange(4, 16))
        ]
        lines.append(" ".join([f"__label__{topic}"] * has_labels + words))
    return "\n".join(lines).encode() + b"\n"


def judged(seed: int = 3) -> bytes:
    """Return pairs of words, alike where they are of one topic."""
    draw, lines = random.Random(seed), []
    for number in range(300):
        one = draw.randrange(N_TOPICS)
        other = one if number % 2 else (one + draw.randrange(1, N_TOPICS)) % N_TOPICS
        lines.append(f"w{one}x{draw.randrange(10)}\tw{other}x{10 + draw.randrange(10)}\t{9 * (number % 2)}")
    return "\n".join(lines).encode() + b"\n"


def job(folder: Path, given: dict[str, Any], contents: dict[str, bytes], **more: Any) -> Training:
    for name, content in contents.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "part").write_bytes(content)
    return Training(
        params=TEXTS.validate({name: str(value) for name, value in given.items()}),
        sources={name: Source(name=name, path=folder / name) for name in contents},
        model_dir=folder / "model",
        output_data_dir=folder / "output",
        n_threads=1,
        **more,
    )


def on(place: _gpu.Gpu | None, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(_gpu, "find", lambda: place)
        run()


def rho(done: Training) -> float:
    return float(json.loads((done.model_dir / "eval.json").read_text())["mean_rho"])


def vectors(folder: Path, content: bytes, place: _gpu.Gpu, **given: Any) -> DeviceVectors:
    made = job(
        folder, {"vector_dim": 6, "min_count": 1, "sampling_threshold": 1, **given}, {"train": content}
    )
    return DeviceVectors(place, made.params, _corpus.read_sentences(made.source("train"), 1))


def classifiers(folder: Path, place: _gpu.Gpu, **given: Any) -> tuple[Classifier, DeviceClassifier, Any]:
    wanted = {"mode": "supervised", "vector_dim": 6, "min_count": 1, "buckets": 50, "word_ngrams": 3, **given}
    made = job(folder, wanted, {"train": sentences(60, has_labels=True)})
    found = _corpus.read_texts(made.source("train"), 1)
    return Classifier(made.params, *found), DeviceClassifier(place, made.params, *found), found[0]


def test_rows_move_by_what_is_added_up_and_no_further() -> None:
    rows = DeviceRows(gpu(), np.zeros((4, 2), np.float32))
    at, slopes = torch.tensor([1, 2, 2, 2, 3]), torch.tensor([[1.0, 2.0]] * 4 + [[5.0, 5.0]])
    for _ in range(2):
        rows.add(at, slopes, torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0]), 0.5)
    near_end = 2 * _device.FARTHEST
    assert rows.values[:3].tolist() == [[0.0, 0.0], [1.0, 2.0], pytest.approx([near_end, 2 * near_end])]


def test_chunks_and_mini_batches_have_all_words_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_device, "CHUNK_WORDS", 10)
    starts = np.array([0, 4, 4, 9, 30, 31, 33])
    places = np.array([3, 0, 5, 1, 2])
    found = list(_device.chunks(starts, places))
    assert len(found) > 1
    assert np.concatenate([part for part, _, _ in found]).tolist() == places.tolist()
    wanted = [at for place in places for at in range(starts[place], starts[place + 1])]
    assert np.concatenate([words for _, words, _ in found]).tolist() == wanted
    for part, words, owners in found:
        assert (np.searchsorted(starts, words, side="right") - 1).tolist() == part[owners].tolist()
    assert list(_device.chunks(starts, places[:0])) == []
    assert list(_device.batches(np.array([0, 1, 2, 9, 10, 11]), 5, 2, 6)) == [(0, 2), (2, 3), (3, 5)]


@pytest.mark.parametrize(("mode", "subwords"), WAYS)
def test_a_word_at_a_time_moves_as_in_the_processors_loops(
    mode: str, subwords: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"mode": mode, "window_size": 1, "subwords": subwords, "buckets": 40, "negative_samples": 1}
    monkeypatch.setattr(words_module, "LEAST_PLACES", 1)
    made = vectors(tmp_path, b"left right\n", gpu(), **given)
    draw = np.random.default_rng(5)
    made.ins[:], made.outs[:] = (draw.normal(size=each.shape) for each in (made.ins, made.outs))
    ins, outs = made.ins.copy(), made.outs.copy()
    made._others = np.zeros(2, np.int32)  # the first word is all that is drawn
    made._chances = np.zeros(2, np.float32)
    made._tables = gpu().put(made._chances), gpu().put(made._others)
    made._moved = DeviceRows(gpu(), made.ins), DeviceRows(gpu(), made.outs)
    rates: Any = np.float32(0.05), np.float32(0.05), np.uint64(9)
    made._learn_part(np.zeros(1, np.int64), *rates)
    made._bring()
    found = made.ins.copy(), made.outs.copy()
    made.ins[:], made.outs[:] = ins, outs
    step = made._batches() if mode == "batch_skipgram" else made._words(is_bag=mode == "cbow")
    step(np.zeros(1, np.int64), *rates)
    # the loops read the logistic function off a table, and count a word that is drawn anew while it moves
    np.testing.assert_allclose(found[0] - ins, made.ins - ins, atol=4e-3)
    np.testing.assert_allclose(found[1] - outs, made.outs - outs, atol=4e-3)
    assert np.abs(made.ins - ins).max() > 0.02


def test_a_text_at_a_time_moves_as_in_the_processors_loop(tmp_path: Path) -> None:
    here, there, texts = classifiers(tmp_path, gpu())
    draw = np.random.default_rng(5)
    here.ins[:], here.outs[:] = (draw.normal(size=each.shape) for each in (here.ins, here.outs))
    there._moved, there._size = (DeviceRows(gpu(), here.ins), DeviceRows(gpu(), here.outs)), 1
    places, rates = np.arange(len(texts))[::-1].copy(), (np.float32(0.1), np.float32(0.05), np.uint64(3))
    here._step(places, *rates)
    there._step(places, *rates)
    for one, other in zip((here.ins, here.outs), there._moved, strict=True):
        np.testing.assert_allclose(other.values, one, atol=1e-5)
    assert there.judge(texts) == here.judge(texts)
    there._size = 7
    assert there.judge(texts) == here.judge(texts)


@pytest.mark.parametrize("mode", MODES)
def test_words_are_judged_no_worse_than_those_of_the_processor(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"mode": mode, "vector_dim": 16, "min_count": 1, "epochs": 3, "sampling_threshold": 0.01}
    contents = {"train": sentences(2500), "evaluation": judged()}
    here, there = (job(tmp_path / name, given, contents) for name in ("here", "there"))
    on(None, partial(TEXTS.fit, here), monkeypatch)
    capsys.readouterr()
    on(gpu(), partial(TEXTS.fit, there), monkeypatch)
    assert rho(there) >= rho(here) - 0.03
    assert rho(there) > 0.6
    assert re.search(r"Alpha: 0.0000 .*Million Words/sec: [\d.]+", capsys.readouterr().out)


def test_labels_are_as_right_as_those_of_the_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"mode": "supervised", "vector_dim": 16, "min_count": 1, "epochs": 6, "learning_rate": 0.5}
    contents = {
        "train": sentences(1500, 4, has_labels=True),
        "validation": sentences(300, 5, has_labels=True),
    }
    found = []
    for name, place in (("here", None), ("there", gpu())):
        done = job(tmp_path / name, {**given, "buckets": 2000}, contents)
        on(place, partial(TEXTS.fit, done), monkeypatch)
        found.append(float(re.findall(r"#validation_accuracy: (\S+)", capsys.readouterr().out)[0]))
    assert found[1] >= found[0] - 0.02
    assert found[1] > 0.9


def test_early_stopping_keeps_the_best_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, made, texts = classifiers(tmp_path, gpu(), early_stopping="true", min_epochs=1, patience=1, epochs=9)
    said = iter([0.5, 0.9, 0.1])
    kept: list[Any] = []

    def judge(_: Any) -> tuple[float, int]:
        kept.append([each.values.clone() for each in made._moved])
        return next(said), 1

    class Turns:
        def run(self, epoch: int, places: Any, n_parts: int, learn: Any) -> Any:
            yield learn(places, np.float32(0.5), np.float32(0.4), np.uint64(epoch + 1))

        def log(self, text: str) -> None:
            assert text

    monkeypatch.setattr(made, "judge", judge)
    assert made.learn(Turns(), texts) == 3  # type: ignore[arg-type]
    np.testing.assert_array_equal(made.ins, kept[1][0])
    np.testing.assert_array_equal(made.outs, kept[1][1])
    assert not torch.equal(kept[1][1], kept[2][1])


def test_two_hosts_on_devices_find_neighbours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "mode": "batch_skipgram",
        "vector_dim": 16,
        "min_count": 1,
        "epochs": 4,
        "sampling_threshold": 0.01,
    }
    contents = {"train": sentences(2500), "evaluation": judged()}
    pair = [
        job(tmp_path / host, given, contents, hosts=HOSTS, host=host, name=f"{tmp_path.name}-words")
        for host in HOSTS
    ]
    raised: list[Any] = []
    on(gpu(), lambda: raised.extend(together([partial(TEXTS.fit, each) for each in pair])), monkeypatch)
    assert raised == [None, None]
    assert rho(pair[0]) > 0.6


@pytest.mark.parametrize(("mode", "subwords"), WAYS)
def test_a_step_of_words_stays_on_one_device(
    mode: str, subwords: str, tmp_path: Path, nowhere: _gpu.Gpu
) -> None:
    given = {"mode": mode, "window_size": 2, "subwords": subwords, "buckets": 40, "batch_size": 3}
    made = vectors(tmp_path, sentences(40), nowhere, **given)
    made._moved = DeviceRows(made._gpu, made.ins), DeviceRows(made._gpu, made.outs)
    words = made._text.tokens[:50]
    chunk = made._chunk(words, np.zeros(50, np.int32), np.random.default_rng(1))
    drawn = made._gpu.put(np.zeros((20, *made._shape), np.int64))
    window = made._window(chunk, 10, 30, drawn)
    made.move(window, 0.1)
    assert {each.values.device.type for each in made._moved} == {"meta"}
    made._moved[1].values = torch.zeros(made.outs.shape)
    with pytest.raises(RuntimeError, match="two devices"):
        made.move(window, 0.1)


def test_a_step_of_labels_stays_on_one_device(tmp_path: Path, nowhere: _gpu.Gpu) -> None:
    _, made, texts = classifiers(tmp_path, nowhere)
    [chunk] = made._chunks(texts, np.arange(len(texts)))
    [(first, last, batch), *_] = made._batches(chunk)
    labels = made._gpu.put(np.zeros(last - first, np.int64))
    made.move(batch, labels, 0.1)
    assert {each.values.device.type for each in made._moved} == {"meta"}
    made._moved[1].values = torch.zeros(made.outs.shape)
    with pytest.raises(RuntimeError, match="two devices"):
        made.move(batch, labels, 0.1)


def test_long_texts_and_many_labels_make_small_mini_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labels_module, "SHARE", 1.0)
    monkeypatch.setattr(labels_module, "MOST_CELLS", 240)
    _, made, texts = classifiers(tmp_path, gpu())
    found = [
        (last - first, len(batch.rows))
        for chunk in made._chunks(texts, np.arange(len(texts)))
        for first, last, batch in made._batches(chunk)
    ]
    assert sum(n for n, _ in found) == len(texts)
    assert max(n for n, _ in found) <= 240 // N_TOPICS
    assert all(n == 1 or n_rows <= 40 for n, n_rows in found)
