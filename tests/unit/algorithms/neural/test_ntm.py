"""The neural topic model: what it reads, whether its gradients are right, and topics that are known."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from clary.algorithms import base
from clary.algorithms._hosts import Hosts
from clary.algorithms.base import Question, Source, Training
from clary.algorithms.ntm import _words
from clary.algorithms.ntm._network import Network
from clary.algorithms.ntm.fit import is_over
from clary.kernel.errors import CustomerError
from clary.testing.algorithm_suite import train
from clary.toolkit.formats import recordio_protobuf

NTM = base.find("ntm")
N_TOPICS, N_WORDS = 4, 60


@pytest.fixture(scope="module")
def corpus() -> Any:
    """Documents of 50 words from topics of 15 words each, mostly one a document; and their shares."""
    draw = np.random.default_rng(0)
    topics = np.full((N_TOPICS, N_WORDS), 1e-3)
    for topic in range(N_TOPICS):
        topics[topic, 15 * topic : 15 * (topic + 1)] += draw.random(15)
    topics /= topics.sum(axis=1, keepdims=True)
    shares = draw.dirichlet(np.full(N_TOPICS, 0.1), 600)
    return np.stack([draw.multinomial(50, share @ topics) for share in shares]).astype(np.float32), shares


@pytest.fixture
def fitted(tmp_path: Path) -> Any:
    """Train on arrays; return the model folder."""

    def fit(vocabulary: str = "", **channels: Any) -> Path:
        hyperparameters = channels.pop("hyperparameters", {})
        sources = {}
        for name, rows in channels.items():
            (tmp_path / name).mkdir()
            (tmp_path / name / "part").write_bytes(recordio_protobuf.write(rows))
            sources[name] = Source(name=name, path=tmp_path / name)
        if vocabulary:
            (tmp_path / "auxiliary").mkdir()
            (tmp_path / "auxiliary/vocab.txt").write_text(vocabulary)
            sources["auxiliary"] = Source(name="auxiliary", path=tmp_path / "auxiliary")
        given = {"feature_dim": N_WORDS, "num_topics": N_TOPICS, "mini_batch_size": 50, **hyperparameters}
        NTM.fit(
            Training(
                params=NTM.validate({name: str(value) for name, value in given.items()}),
                sources=sources,
                model_dir=tmp_path / "model",
                output_data_dir=tmp_path / "output",
                n_threads=1,
            )
        )
        return tmp_path / "model"

    return fit


@pytest.mark.parametrize(
    "given",
    [{}, {"optimizer": "adam", "learning_rate": 0.01}, {"optimizer": "adam", "batch_norm": "true"}],
    ids=["defaults", "adam", "normalised"],
)
def test_topics_that_documents_were_drawn_from_are_found(corpus: Any, fitted: Any, given: Any) -> None:
    rows, shares = corpus
    model_dir = fitted(train=sparse.csr_matrix(rows), hyperparameters=given)
    topics = np.load(model_dir / "model_algo-1")["topics"]
    groups = {tuple(sorted(set((np.argsort(-topic)[:5] // 15).tolist()))) for topic in topics}
    assert groups == {(0,), (1,), (2,), (3,)}
    order = [
        int(np.argmax(topics[:, 15 * topic : 15 * (topic + 1)].sum(axis=1))) for topic in range(N_TOPICS)
    ]
    question = Question(body=recordio_protobuf.write(sparse.csr_matrix(rows)))
    [answer] = NTM.load(model_dir, {}).predict_many([question])
    found = np.array([row["topic_weights"] for row in json.loads(answer.body)["predictions"]])
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    assert (found[:, order].argmax(axis=1) == shares.argmax(axis=1)).mean() > 0.9


def test_the_log_has_topics_in_words_with_their_coherence(
    corpus: Any, fitted: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "\n".join(f"w{place}" for place in range(N_WORDS))
    fitted(words, train=corpus[0], hyperparameters={"epochs": 2})
    log = capsys.readouterr().out
    assert re.search(r"Topics \(num_topics:4\) \[wetc \d\.\d\d, tu \d\.\d\d\]:", log)
    assert len(re.findall(r"\] \[wetc \S+, tu \S+\](?: w\d+){10}$", log, re.MULTILINE)) == N_TOPICS


def test_a_vocabulary_of_another_size_fails(corpus: Any, fitted: Any) -> None:
    with pytest.raises(CustomerError, match=r"vocab\.txt has 2 lines, and hyperparameter feature_dim is 60"):
        fitted("one\ntwo", train=corpus[0])


def test_negative_counts_fail(corpus: Any, fitted: Any) -> None:
    counts = corpus[0].copy()
    counts[7, 3] = -50.0
    with pytest.raises(CustomerError, match=r"channel 'train': train/part, record 7: a count below 0"):
        fitted(train=counts)


def test_training_ends_when_the_validation_loss_stays(
    corpus: Any, fitted: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"epochs": 40, "tolerance": 0.1, "num_patience_epochs": 2}
    fitted(train=corpus[0], validation=corpus[0][:100], hyperparameters=given)
    assert re.search(r"The loss does not fall any more: ending after \d+ epochs", capsys.readouterr().out)
    assert is_over([5.0, 4.999, 4.998], 2, 0.001)
    assert not is_over([5.0, 4.9, 4.899], 2, 0.001)
    assert not is_over([5.0, 5.0], 2, 0.001)


@pytest.mark.parametrize("value", ["0", "8,x", "8,-1", ""])
def test_widths_of_layers_are_positive_integers(value: str) -> None:
    with pytest.raises(
        CustomerError, match=r"encoder_layers: .*positive integers separated by commas or auto"
    ):
        NTM.validate({"feature_dim": "9", "num_topics": "2", "encoder_layers": value})


def test_widths_of_layers_come_as_the_sdk_sends_them() -> None:
    for value in ("[16, 8]", "16,8"):
        params = NTM.validate({"feature_dim": "9", "num_topics": "2", "encoder_layers": value})
        assert params["encoder_layers"] == (16, 8)


def test_an_empty_document_has_an_answer(tmp_path: Path) -> None:
    example = base.examples("ntm")[0]
    predictor = NTM.load(train(NTM, example, tmp_path), {})
    [answer] = predictor.predict_many([Question(body=b"0," * 11 + b"0\n", content_type="text/csv")])
    [row] = json.loads(answer.body)["predictions"]
    assert sum(row["topic_weights"]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
@pytest.mark.parametrize("is_normalised", [False, True])
def test_gradients_are_those_of_the_loss(activation: str, is_normalised: bool) -> None:
    draw = np.random.default_rng(3)
    documents = sparse.csr_matrix(draw.poisson(1.0, (6, 9)).astype(np.float32))
    words = draw.standard_normal((9, 4)).astype(np.float32)
    topics = draw.standard_normal((3, 4)).astype(np.float32)
    network = Network(
        words,
        topics,
        np.zeros(9, np.float32),
        (5, 4),
        activation=activation,
        is_normalised=is_normalised,
    )
    network.arrays = {name: values.astype(np.float64) for name, values in network.arrays.items()}

    def loss() -> float:
        found, _ = network.learn(documents, 0.5, np.random.default_rng(1))
        return float(found.words + 0.5 * found.divergence)

    _, gradients = network.learn(documents, 0.5, np.random.default_rng(1))
    assert set(gradients) == set(network.arrays)
    for name, gradient in gradients.items():
        values = network.arrays[name].reshape(-1)
        for place in draw.permutation(values.size)[:3]:
            kept, ends = values[place], []
            for step in (1e-3, -1e-3):
                values[place] = kept + step
                ends.append(loss())
            values[place] = kept
            slope = (ends[0] - ends[1]) / 2e-3
            assert gradient.reshape(-1)[place] == pytest.approx(slope, rel=0.05, abs=0.02), name


def test_words_that_share_documents_lie_close(corpus: Any) -> None:
    documents = sparse.csr_matrix(corpus[0])
    counts = np.asarray(documents.sum(axis=0), np.float64).ravel()
    words = _words.vectors(documents, counts, Hosts(0, (), 1))
    tops = np.arange(N_WORDS).reshape(N_TOPICS, 15)
    within, across = _words.coherence(tops, words), _words.coherence(tops.T, words)
    assert within.min() > 0.1 > across.max()
    np.testing.assert_allclose(_words.uniqueness(np.array([[0, 1], [0, 2]])), 0.75)


def test_the_lines_of_its_readme_open_the_model(tmp_path: Path, monkeypatch: Any) -> None:
    example = base.examples("ntm")[0]
    model_dir = train(NTM, example, tmp_path)
    monkeypatch.chdir(model_dir)
    text = (Path(_words.__file__).parent / "README.md").read_text()
    names = {"rows": np.array([[float(v) for v in body.split(b",")] for body in example.requests])}
    exec(re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[-1], names)
    question = Question(body=b"".join(example.requests), content_type="text/csv")
    [answer] = NTM.load(model_dir, {}).predict_many([question])
    wanted = [row["topic_weights"] for row in json.loads(answer.body)["predictions"]]
    np.testing.assert_allclose(names["found"], wanted, atol=1e-5)
