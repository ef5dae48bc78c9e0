"""Object2Vec: what it reads and says, whether its gradients are right, and relations that it learns."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clary.algorithms import base
from clary.algorithms.base import Question, Source, Training
from clary.algorithms.object2vec import _pairs
from clary.algorithms.object2vec._network import Network, Shape
from clary.algorithms.object2vec._pairs import Pairs, Tokens
from clary.algorithms.object2vec.fit import _Tail, minibatches
from clary.kernel.errors import CustomerError
from clary.testing.algorithm_suite import train

OBJECT2VEC = base.find("object2vec")
EXAMPLES = {example.name: example for example in base.examples("object2vec")}
SMALL = {"enc0_max_seq_len": "5", "enc0_vocab_size": "9", "enc0_token_embedding_dim": "4", "enc_dim": "5"}


def read(folder: Path, *lines: str, n_classes: int = 2) -> Pairs:
    (folder / "train").mkdir(exist_ok=True)
    (folder / "train/part").write_text("\n".join(lines))
    source = Source(name="train", path=folder / "train")
    return _pairs.read(source, (9, 9), (3, 3), n_classes)


@pytest.fixture(scope="module")
def models(tmp_path_factory: Any) -> Any:
    return {
        name: train(OBJECT2VEC, example, tmp_path_factory.mktemp(name)) for name, example in EXAMPLES.items()
    }


def ask(model_dir: Path, *instances: Any, content_type: str = "application/json", accept: str = "") -> Any:
    body = json.dumps({"instances": instances}).encode()
    [answer] = OBJECT2VEC.load(model_dir, {}).predict_many(
        [Question(body=body, content_type=content_type, accept=accept)]
    )
    return answer


def test_sequences_are_cut_to_what_is_allowed(tmp_path: Path) -> None:
    pairs = read(tmp_path, '{"label": 1, "in0": [1, 2, 3, 4], "in1": []}')
    assert pairs.sides[0].tokens.tolist() == [1, 2, 3]
    assert pairs.sides[1].lengths.tolist() == [0]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "it is not JSON"),
        ("[1]", 'must be {"label": number'),
        ('{"in0": [1], "in1": [2]}', 'must be {"label": number'),
        ('{"label": 2, "in0": [1], "in1": [2]}', "label is 2, and must be an integer in range [0, 1]"),
        ('{"label": 0.5, "in0": [1], "in1": [2]}', "label is 0.5, and must be an integer"),
        ('{"label": 1, "in0": [1]}', "in1 must be a list of integers"),
        ('{"label": 1, "in0": [9], "in1": [2]}', "in0 has token 9, not in range [0, 8]"),
        ('{"label": 1, "in0": [1.5], "in1": [2]}', "in0 must be a list of integers"),
    ],
)
def test_a_line_that_is_no_pair_is_named(tmp_path: Path, line: str, reason: str) -> None:
    with pytest.raises(CustomerError, match=re.escape(f"train/part, line 2: {reason}")):
        read(tmp_path, '{"label": 1, "in0": [1], "in1": [2]}', line)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"enc1_network": "pooled_embedding"}, "enc0 makes 5 numbers and enc1 300"),
        ({"tied_token_embedding_weight": "True", "enc1_vocab_size": "7"}, "they are 9 and 7"),
        (
            {"token_embedding_storage_type": "row_sparse", "optimizer": "rmsprop"},
            "value rmsprop does not suit",
        ),
        ({"enc0_pretrained_embedding_file": "glove.txt"}, "needs enc0_vocab_file"),
        ({"comparator_list": "hadamard,cosine"}, "comparator_list"),
    ],
)
def test_hyperparameters_must_suit_each_other(given: dict[str, str], reason: str) -> None:
    with pytest.raises(CustomerError, match=reason):
        OBJECT2VEC.validate({**SMALL, **given})


def test_the_second_encoder_is_as_the_first_unless_told_otherwise() -> None:
    shape = Shape.of(OBJECT2VEC.validate({**SMALL, "enc0_layers": "2", "enc1_vocab_size": "7"}))
    assert (shape.networks, shape.n_layers, shape.n_columns) == (("hcnn", "hcnn"), (2, 2), (4, 4))
    assert (shape.vocabularies, shape.longest) == ((9, 7), (5, 5))
    other = Shape.of(OBJECT2VEC.validate({**SMALL, "enc1_network": "bilstm"}))
    assert (other.networks, other.n_layers, other.n_columns) == (("hcnn", "bilstm"), (4, 1), (4, 300))
    assert Shape.parse(str(other)) == other


@pytest.mark.parametrize("output_layer", ["softmax", "mean_squared_error"])
@pytest.mark.parametrize(
    "given",
    [
        {"enc0_network": "pooled_embedding", "mlp_activation": "tanh"},
        {"enc0_network": "hcnn", "enc0_layers": "3", "mlp_activation": "relu"},
        {"enc0_network": "hcnn", "enc0_cnn_filter_width": "2", "mlp_layers": "0"},
        {"enc0_network": "bilstm", "enc0_layers": "2", "comparator_list": "abs_diff"},
        {"enc0_network": "bilstm", "tied_token_embedding_weight": "true"},
    ],
)
def test_gradients_are_those_of_the_loss(given: dict[str, str], output_layer: str) -> None:
    draw = np.random.default_rng(4)
    shape = Shape.of(OBJECT2VEC.validate({**SMALL, "mlp_dim": "6", **given, "output_layer": output_layer}))
    network = Network.begin(shape, 0.1)
    network.arrays = {
        name: values.astype(np.float64) + 0.3 * draw.standard_normal(values.shape)
        for name, values in network.arrays.items()
    }
    lengths = (1, 3, 5, 0)
    sides = [
        Tokens.of([draw.integers(0, 9, length).tolist() for length in order])
        for order in (lengths, lengths[::-1])
    ]
    pairs = Pairs((sides[0], sides[1]), np.array([0, 1, 1, 0], np.float32))
    _, gradients, touched = network.learn(pairs, draw, 0.0)
    for name, (rows, gradient) in touched.items():
        gradients[name] = np.zeros_like(network.arrays[name])
        gradients[name][rows] = gradient
    assert set(gradients) == set(network.arrays)
    for name, gradient in gradients.items():
        values = network.arrays[name].reshape(-1)
        for place in draw.permutation(values.size)[:3]:
            kept, ends = values[place], []
            for step in (1e-5, -1e-5):
                values[place] = kept + step
                sums, _, _ = network.learn(pairs, draw, 0.0)
                ends.append(sums[0] / sums[2])
            values[place] = kept
            slope = (ends[0] - ends[1]) / 2e-5
            assert gradient.reshape(-1)[place] == pytest.approx(slope, rel=1e-3, abs=1e-5), name


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_what_padding_is_for_changes_nothing(models: Any, name: str) -> None:
    together = ask(models[name], {"in0": [1, 2]}, {"in0": [1, 2, 3, 4, 5, 6, 7]})
    alone = ask(models[name], {"in0": [1, 2]})
    assert json.loads(together.body)["predictions"][0] == json.loads(alone.body)["predictions"][0]


def test_pairs_have_scores_and_single_sides_have_embeddings(models: Any) -> None:
    answer = ask(models["convolutions"], {"in0": [1], "in1": [2, 3]}, {"in0": [], "in1": [7]})
    rows = json.loads(answer.body)["predictions"]
    assert [sum(row["scores"]) for row in rows] == pytest.approx([1, 1], abs=1e-5)
    answer = ask(models["pooled"], {"in0": [1], "in1": [2]}, accept="application/jsonlines")
    assert len(json.loads(answer.body)["scores"]) == 1
    for name in ("in0", "in1"):
        [row] = json.loads(ask(models["recurrent"], {name: [1, 2]}).body)["predictions"]
        assert len(row["embeddings"]) == 8


def test_a_request_may_shorten_sequences(models: Any) -> None:
    content_type = "application/json; infer_max_seqlens=1,1"
    cut = ask(models["pooled"], {"in0": [1, 5, 6]}, content_type=content_type)
    assert cut.body == ask(models["pooled"], {"in0": [1]}).body
    assert (
        ask(models["pooled"], {"in0": [1]}, content_type="application/json; infer_max_seqlens=0,1").status
        == 415
    )


@pytest.mark.parametrize(
    "instances",
    [({"in0": [1]}, {"in1": [1]}), ({"x": 1},), ({"in0": [12]},), ({"in0": "a"},), (3,)],
)
def test_what_it_cannot_answer_is_refused(models: Any, instances: Any) -> None:
    assert ask(models["pooled"], *instances).status == 400


def test_several_hosts_are_refused(tmp_path: Path) -> None:
    training = Training(
        params=OBJECT2VEC.validate(SMALL),
        sources={},
        model_dir=tmp_path,
        output_data_dir=tmp_path,
        hosts=("algo-1", "algo-2"),
    )
    with pytest.raises(CustomerError, match="InstanceCount must be 1"):
        OBJECT2VEC.fit(training)


def test_drawn_pairs_have_label_0_and_the_first_side_of_real_ones() -> None:
    params = OBJECT2VEC.validate({**SMALL, "negative_sampling_rate": "2", "mini_batch_size": "4"})
    sides = Tokens.of([[place] for place in range(8)])
    pairs = Pairs((sides, sides), np.ones(8, np.float32))
    batches = list(minibatches(pairs, params, np.random.default_rng(0)))
    assert [len(batch) for batch in batches] == [12, 12]
    for batch in batches:
        assert batch.labels.tolist() == [1] * 4 + [0] * 8
        assert batch.sides[0].tokens.tolist() == batch.sides[0].tokens[:4].tolist() * 3


def test_buckets_hold_pairs_of_like_lengths() -> None:
    params = OBJECT2VEC.validate({**SMALL, "bucket_width": "2", "mini_batch_size": "5"})
    draw = np.random.default_rng(0)
    lengths = np.repeat([1, 4, 8], 10)
    sides = Tokens.of([[0] * length for length in draw.permutation(lengths)])
    for batch in minibatches(Pairs((sides, sides), np.ones(30, np.float32)), params, draw):
        assert len(set(batch.sides[0].lengths.tolist())) == 1


def test_pretrained_vectors_stay_where_they_are_frozen(tmp_path: Path) -> None:
    example = EXAMPLES["convolutions"]
    auxiliary = tmp_path / "auxiliary"
    auxiliary.mkdir()
    (auxiliary / "words.json").write_text('{"cat": 3, "dog": 5}')
    (auxiliary / "glove.txt").write_text("cat " + "1 " * 8 + "\nbird " + "2 " * 8 + "\n")
    given = {"enc0_pretrained_embedding_file": "glove.txt", "enc0_vocab_file": "words.json"}
    (tmp_path / "train").mkdir()
    (tmp_path / "train/part").write_bytes(b"".join(example.channels["train"]))

    def fit() -> Any:
        OBJECT2VEC.fit(
            Training(
                params=OBJECT2VEC.validate({**example.hyperparameters, "epochs": "1", **given}),
                sources={name: Source(name=name, path=tmp_path / name) for name in ("train", "auxiliary")},
                model_dir=tmp_path / "model",
                output_data_dir=tmp_path / "output",
            )
        )
        return np.load(tmp_path / "model/model_algo-1")["enc0_tokens"]

    np.testing.assert_array_equal(fit()[3], 1)
    given["enc0_freeze_pretrained_embedding"] = "False"
    assert np.abs(fit()[3] - 1).max() > 0
    (auxiliary / "glove.txt").write_text("cat 1 2 3")
    with pytest.raises(CustomerError, match=r"glove\.txt, line 1 has no 8 numbers"):
        fit()
    given["enc0_vocab_file"] = "none.json"
    with pytest.raises(CustomerError, match=r"Channel auxiliary has no file none\.json"):
        fit()


@pytest.mark.parametrize("network", ["hcnn", "bilstm"])
def test_an_order_that_means_something_is_learnt(tmp_path: Path, network: str) -> None:
    draw = np.random.default_rng(0)
    lines = []
    for _ in range(600):
        tokens = draw.integers(0, 8, 2).tolist()
        label = int(draw.integers(0, 2))
        lines.append(json.dumps({"label": label, "in0": tokens, "in1": tokens[::-1] if label else tokens}))
    lines = [line for line in lines if len(set(json.loads(line)["in0"])) > 1]
    (tmp_path / "part").write_text("\n".join(lines))
    given = {
        "enc0_vocab_size": "8",
        "enc0_network": network,
        "enc0_layers": "1",
        "enc0_token_embedding_dim": "16",
        "enc_dim": "32",
        "mlp_activation": "relu",
        "mlp_dim": "32",
        "epochs": "30",
        "learning_rate": "0.01",
        "early_stopping_patience": "5",
    }
    params = OBJECT2VEC.validate({**SMALL, **given})
    source = Source(name="train", path=tmp_path)
    OBJECT2VEC.fit(
        Training(params=params, sources={"train": source}, model_dir=tmp_path / "m", output_data_dir=tmp_path)
    )
    asked = [json.loads(line) for line in lines[:200]]
    answer = ask(tmp_path / "m", *({name: each[name] for name in ("in0", "in1")} for each in asked))
    found = [int(np.argmax(row["scores"])) for row in json.loads(answer.body)["predictions"]]
    assert np.mean([one == each["label"] for one, each in zip(found, asked, strict=True)]) > 0.95


def test_the_lines_of_its_readme_open_the_model(models: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(models["pooled"])
    text = (Path(_pairs.__file__).parent / "README.md").read_text()
    names: dict[str, Any] = {}
    exec(re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[-1], names)
    [row] = json.loads(ask(models["pooled"], {"in0": [1, 2], "in1": [7]}).body)["predictions"]
    np.testing.assert_allclose(names["score"]([1, 2], [7]), row["scores"], rtol=1e-4)


@pytest.mark.parametrize(
    ("looks", "n_batches", "wanted"), [(1, 3, [42, 52]), (2, 3, [41, 42, 51, 52]), (8, 2, [40, 41, 50, 51])]
)
def test_the_model_is_the_mean_over_places_of_the_last_third_of_the_passes(
    looks: int, n_batches: int, wanted: list[int]
) -> None:
    tail = _Tail(6, looks)
    for epoch in range(6):
        for number in range(n_batches):
            tail.add(epoch, number + 1, n_batches, {"weight": np.full(2, 10.0 * epoch + number)})
    np.testing.assert_allclose(tail.mean["weight"], np.mean(wanted))
    short = _Tail(2, looks)
    short.add(1, n_batches, n_batches, {"weight": np.ones(2, np.float32)})
    assert not short.mean
