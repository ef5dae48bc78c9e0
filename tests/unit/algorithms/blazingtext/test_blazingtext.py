"""BlazingText: what it reads, what it refuses, what it says, and several hosts."""

import gzip
import json
import os
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clary.algorithms import base
from clary.algorithms.base import Question, Source, Training
from clary.algorithms.blazingtext import _corpus, _similarity, _texts
from clary.kernel.errors import CustomerError
from clary.testing.algorithm_suite import train
from clary.testing.several_hosts import HOSTS, together
from clary.toolkit import recordio

BLAZINGTEXT = base.find("blazingtext")
EXAMPLES = {example.name: example for example in base.examples("blazingtext")}


@pytest.fixture(scope="module")
def models(tmp_path_factory: Any) -> dict[str, Path]:
    return {
        name: train(BLAZINGTEXT, EXAMPLES[name], tmp_path_factory.mktemp(name))
        for name in ("supervised", "skipgram")
    }


def ask(model_dir: Path, document: Any, content_type: str = "application/json", **more: Any) -> Any:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    [answer] = BLAZINGTEXT.load(model_dir, {}).predict_many(
        [Question(body=body, content_type=content_type, **more)]
    )
    return answer


def source(folder: Path, content: bytes, content_type: str = "text/plain") -> Source:
    (folder / "train").mkdir(exist_ok=True)
    (folder / "train/part").write_bytes(content)
    return Source(name="train", path=folder / "train", content_type=content_type)


def lines(given: Source) -> bytes:
    return b"".join(_texts.blocks_of(given))


def test_words_are_read_as_fasttext_splits_them(tmp_path: Path) -> None:
    text = _corpus.read_sentences(source(tmp_path, b"b a\tb\r\n\nrare b a"), 2)
    assert text.vocabulary.words == [b"b", b"a"]
    assert text.vocabulary.counts.tolist() == [3, 2]
    assert text.n_read == 6
    sentences = {
        tuple(text.tokens[start:end]) for start, end in zip(text.starts[:-1], text.starts[1:], strict=True)
    }
    assert sentences == {(0, 1, 0), (0, 1)}


def test_a_word_may_lie_in_two_blocks_and_a_sentence_is_cut(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(_texts, "BLOCK_BYTES", 7)
    text = _corpus.read_sentences(source(tmp_path, b"word " * 2500), 1)
    assert text.vocabulary.counts.tolist() == [2500]
    assert sorted(np.diff(text.starts).tolist()) == [500, 1000, 1000]


def test_the_tables_of_words_grow(tmp_path: Path) -> None:
    content = " ".join(f"{'w' * 40}{n}" for n in range(70_000)).encode()
    assert len(_corpus.read_sentences(source(tmp_path, content), 1).vocabulary.words) == 70_000


def test_files_may_be_gzip_and_damage_is_named(tmp_path: Path) -> None:
    assert lines(source(tmp_path, gzip.compress(b"a b\n"))) == b"a b\n"
    with pytest.raises(CustomerError, match="train/part is damaged"):
        lines(source(tmp_path, gzip.compress(b"a b\n" * 99)[:-9]))


def test_documents_and_records_are_lines_of_labels_and_text(tmp_path: Path) -> None:
    documents = b'{"source": "a  b", "label": 1}\n\n{"source": "c", "label": ["x", "__label__2"]}\n'
    wanted = b"__label__1 a b\n__label__x __label__2 c\n"
    assert lines(source(tmp_path, documents, "application/jsonlines")) == wanted
    records = [b"a b", b"1", b"c", b'["x","__label__2"]']
    assert lines(source(tmp_path, b"".join(map(recordio.wrap, records)))) == wanted
    turned = [b"1", b"a b", b'["x","__label__2"]', b"c d"]
    assert lines(source(tmp_path, b"".join(map(recordio.wrap, turned)))) == wanted.replace(b"c", b"c d")


@pytest.mark.parametrize(
    ("content", "content_type", "reason"),
    [
        (b'{"source": "a"}\n{"text": "b"}', "application/jsonlines", "train/part, line 2 must be"),
        (b'{"source": 5}', "application/jsonlines", "train/part, line 1 must be"),
        (b"".join(map(recordio.wrap, [b"a b", b"c d"])), "", "record 2: AttributeNames must be"),
        (b"".join(map(recordio.wrap, [b"a b"])), "", "ends with a record that has no label"),
        (recordio.wrap(b"a b")[:9], "", "train/part is damaged"),
    ],
)
def test_what_is_no_text_is_named(tmp_path: Path, content: bytes, content_type: str, reason: str) -> None:
    with pytest.raises(CustomerError, match=re.escape(reason)):
        lines(source(tmp_path, content, content_type))


def test_a_fifo_is_read_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "train_0")
    writer = threading.Thread(target=lambda: (tmp_path / "train_0").write_bytes(b"a b\n"), daemon=True)
    writer.start()
    assert lines(Source(name="train", path=tmp_path / "train", mode="Pipe")) == b"a b\n"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"mode": "batch_skipgram", "subwords": "True"}, "needs mode skipgram or cbow"),
        ({"mode": "cbow", "subwords": "true", "min_char": "5", "max_char": "4"}, "min_char must be at most"),
    ],
)
def test_pieces_must_suit_the_mode(given: dict[str, str], reason: str) -> None:
    with pytest.raises(CustomerError, match=reason):
        BLAZINGTEXT.validate(given)


@pytest.mark.parametrize(
    ("example", "changes", "channels", "reason"),
    [
        ("supervised", {"early_stopping": "false"}, {"train": (b"a\n",)}, "Channel train has no label"),
        ("supervised", {}, {"train": (b"__label__1 a\n",)}, "needs the channel validation"),
        ("skipgram", {"min_count": "9"}, {"train": (b"a b\n",)}, "no word that occurs 9 times"),
        (
            "skipgram",
            {},
            {"train": (b"a b\n",), "validation": (b"a\n",)},
            "Extraneous channel found: validation",
        ),
        (
            "skipgram",
            {},
            {"train": (b"a b\n",), "evaluation": (b"a\tb\t1\na b\n",)},
            "rows, line 2 has no two",
        ),
        ("skipgram", {"learning_rate": "1e30"}, None, "diverged"),
    ],
)
def test_what_does_not_suit_is_a_customer_error(
    example: str, changes: Any, channels: Any, reason: str, tmp_path: Path
) -> None:
    chosen = EXAMPLES[example]
    altered = base.Example(**{**vars(chosen), "hyperparameters": {**chosen.hyperparameters, **changes}})
    with pytest.raises(CustomerError, match=reason):
        train(BLAZINGTEXT, altered, tmp_path, channels)


def test_the_likeliest_labels_come_first(models: dict[str, Path]) -> None:
    document = {"instances": ["goal of the team", "an oven"], "configuration": {"k": 2}}
    first, second = json.loads(ask(models["supervised"], document).body)
    assert first["label"][0] == "__label__0"
    assert second["label"][0] == "__label__1"
    assert first["prob"][0] > 0.8 > first["prob"][1]
    assert len(first["label"]) == len(second["prob"]) == 2


def test_lines_are_answered_by_lines_whatever_is_accepted(models: dict[str, Path]) -> None:
    body = b'{"source": "a comet"}\n{"source": "butter", "k": 3}'
    answer = ask(models["supervised"], body, "application/jsonlines", accept="text/csv")
    assert answer.content_type == "application/jsonlines"
    first, second = map(json.loads, answer.body.splitlines())
    assert first["label"] == ["__label__2"]
    assert len(second["label"]) == 3
    assert sum(second["prob"]) == pytest.approx(1)


def test_words_have_vectors_and_unknown_ones_those_of_their_pieces(
    models: dict[str, Path], tmp_path: Path
) -> None:
    goal, goals = json.loads(ask(models["skipgram"], {"instances": ["goal", "goals"]}).body)
    assert goal["word"] == "goal"
    assert np.dot(goal["vector"], goals["vector"]) > 0
    plain = train(BLAZINGTEXT, EXAMPLES["cbow"], tmp_path)
    [unknown] = json.loads(ask(plain, {"instances": ["goals"]}).body)
    assert unknown == {"vector": [0.0] * 8, "word": "goals"}


@pytest.mark.parametrize(
    ("document", "content_type", "status"),
    [
        ({"instances": [5]}, "application/json", 400),
        ({"instances": []}, "application/json", 400),
        ({"instances": ["a"], "configuration": {"k": 0}}, "application/json", 400),
        ({"instances": ["a"], "configuration": 2}, "application/json", 400),
        ({"text": "a"}, "application/jsonlines", 400),
        ({"instances": ["a"]}, "text/csv", 415),
    ],
)
def test_what_it_cannot_answer_has_a_status(
    models: dict[str, Path], document: Any, content_type: str, status: int
) -> None:
    assert ask(models["supervised"], document, content_type).status == status


def test_pairs_are_judged_by_rank(tmp_path: Path) -> None:
    (tmp_path / "pairs").mkdir()
    (tmp_path / "pairs/one.csv").write_text("Word 1,Word 2,Human (mean)\na,b,9\nA,c,5\nb,c,1\nz,a,3\n")
    judged = _similarity.judgements(Source(name="evaluation", path=tmp_path / "pairs"))
    vectors = np.array([[1, 0], [0.9, 0.1], [0.5, 1]], np.float32)
    report = _similarity.evaluate(judged, [b"a", b"b", b"c"], vectors)
    assert report["one.csv"] == {"not_found": 1, "spearmans_rho": pytest.approx(0.5), "total_pairs": 4}
    assert report["mean_rho"] == report["one.csv"]["spearmans_rho"]


def test_the_lines_of_its_readme_open_the_vectors(models: dict[str, Path], monkeypatch: Any) -> None:
    monkeypatch.chdir(models["skipgram"])
    text = (Path(_corpus.__file__).parent / "README.md").read_text()
    names: dict[str, Any] = {}
    exec(re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[-1], names)
    [goal] = json.loads(ask(models["skipgram"], {"instances": ["goal"]}).body)
    np.testing.assert_allclose(names["vectors"]["goal"], goal["vector"], atol=1e-6)


def test_two_hosts_find_neighbours_as_one_does(tmp_path: Path) -> None:
    example = EXAMPLES["batch_skipgram"]

    def training(host: str, hosts: tuple[str, ...]) -> Training:
        folder = tmp_path / f"{len(hosts)}-{host}"
        channels = {}
        for name, rows in example.channels.items():
            (folder / name).mkdir(parents=True)
            (folder / name / "part").write_bytes(b"".join(rows) * 4)
            channels[name] = Source(name=name, path=folder / name)
        return Training(
            params=BLAZINGTEXT.validate(example.hyperparameters),
            sources=channels,
            model_dir=folder / "model",
            output_data_dir=folder / "output",
            hosts=hosts,
            host=host,
            name=f"{tmp_path.name}-words",
            n_threads=1,
        )

    both = [training(host, HOSTS) for host in HOSTS]
    raised = together([lambda each=each: BLAZINGTEXT.fit(each) for each in both])  # type: ignore[misc]
    assert raised == [None, None]
    alone = training(HOSTS[0], HOSTS[:1])
    BLAZINGTEXT.fit(alone)
    rhos = [json.loads((each.model_dir / "eval.json").read_text())["mean_rho"] for each in (both[0], alone)]
    assert min(rhos) > 0.6
    assert not (both[1].model_dir / "vectors.bin").exists()


def test_other_modes_train_on_one_host(tmp_path: Path) -> None:
    params = BLAZINGTEXT.validate({"mode": "cbow"})
    with pytest.raises(CustomerError, match="InstanceCount must be 1; batch_skipgram takes several"):
        BLAZINGTEXT.fit(
            Training(params=params, sources={}, model_dir=tmp_path, output_data_dir=tmp_path, hosts=HOSTS)
        )


def test_threads_change_the_same_vectors(tmp_path: Path) -> None:
    example = EXAMPLES["batch_skipgram"]
    given = source(tmp_path, b"".join(example.channels["train"]))
    BLAZINGTEXT.fit(
        Training(
            params=BLAZINGTEXT.validate(example.hyperparameters),
            sources={"train": given},
            model_dir=tmp_path / "model",
            output_data_dir=tmp_path,
            n_threads=3,
        )
    )
    assert (tmp_path / "model/vectors.txt").read_text().startswith("18 8\n")
