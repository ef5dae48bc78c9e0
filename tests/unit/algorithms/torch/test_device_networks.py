"""The halves on a GPU of IP Insights, the neural topic model and Object2Vec: gradients, steps, devices."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from clary.algorithms import _gpu, base
from clary.algorithms._gpu import Gpu
from clary.algorithms._optimizers import NAMES, optimizer
from clary.algorithms.ipinsights import _network as ipinsights
from clary.algorithms.ntm import _network as ntm
from clary.algorithms.object2vec import _network as object2vec
from clary.algorithms.object2vec._pairs import Pairs, Tokens
from clary.testing.algorithm_suite import train
from clary.testing.several_hosts import HOSTS, together, training

torch = pytest.importorskip("torch", reason="needs pip install 'clary[torch]'")
from torch._subclasses.fake_tensor import FakeTensorDeviceMismatchError  # noqa: E402 - where torch is

from clary.algorithms.ipinsights import _device as ipinsights_device  # noqa: E402
from clary.algorithms.ntm import _device as ntm_device  # noqa: E402
from clary.algorithms.object2vec import _device as object2vec_device  # noqa: E402

pytestmark = pytest.mark.torch

close = partial(np.testing.assert_allclose, rtol=2e-4, atol=2e-6)


@pytest.fixture
def here() -> Gpu:
    """torch's processor, in the place of a device."""
    return Gpu(torch, torch.device("cpu"))


def on(device: Any, tensors: Any) -> None:
    assert {str(each.device) for each in tensors} == {str(device)}


def test_tensors_of_two_devices_do_not_go_together(nowhere: Gpu) -> None:
    with pytest.raises(FakeTensorDeviceMismatchError):
        nowhere.put(np.ones(3)) + torch.ones(3)


@pytest.mark.parametrize("name", NAMES)
def test_tensors_take_the_steps_of_arrays(name: str, here: Gpu) -> None:
    draw = np.random.default_rng(0)
    start = {"weight": draw.standard_normal((70, 3)), "last_bias": draw.standard_normal(3)}
    arrays = {key: values.astype(np.float32) for key, values in start.items()}
    tensors = {key: here.put(values) for key, values in arrays.items()}
    one, other = (optimizer(name, 0.1, weight_decay=0.01, clip=1.5, rescale=0.5) for _ in range(2))
    for step in range(4):
        gradients = {
            key: draw.standard_normal(values.shape).astype(np.float32) for key, values in arrays.items()
        }
        one.step(arrays, {key: values.copy() for key, values in gradients.items()})
        other.step(tensors, {key: here.put(values) for key, values in gradients.items()})
        rows = draw.permutation(70)[: 5 * step]
        one.step_rows("weight", arrays["weight"], rows, gradients["weight"][rows])
        other.step_rows("weight", tensors["weight"], here.put(rows), here.put(gradients["weight"][rows]))
    for key, values in arrays.items():
        np.testing.assert_allclose(here.take(tensors[key]), values, rtol=1e-5, atol=1e-6)
        assert not np.allclose(values, start[key])


@pytest.mark.parametrize("name", NAMES)
def test_steps_stay_on_their_device(name: str, nowhere: Gpu) -> None:
    tensors = {"table": nowhere.put(np.zeros((7, 3), np.float32))}
    steps = optimizer(name, 0.1, weight_decay=0.01, clip=1.5, rescale=0.5)
    steps.step(tensors, {"table": nowhere.put(np.zeros((7, 3), np.float32))})
    rows, gradient = nowhere.put(np.array([1, 3])), nowhere.put(np.zeros((2, 3), np.float32))
    steps.step_rows("table", tensors["table"], rows, gradient)
    on(nowhere.device, [*tensors.values(), *steps._statistics.get("table", ())])


def logins(n_events: int, n_drawn: int, n_layers: int, *, has_prefixes: bool = True) -> Any:
    """Return a network of IP Insights away from its beginning, and what `learn` is asked."""
    draw = np.random.default_rng(1)
    rows = draw.integers(0, 4, n_events)
    addresses, drawn = (
        draw.integers(0, 6, n).astype(np.uint32) << np.uint32(14) for n in (n_events, n_events * n_drawn)
    )
    known = ipinsights.keys_of(addresses, 20)[: n_events // 2] if has_prefixes else np.zeros(0, np.uint64)
    network = ipinsights.Network.begin(6, 5, n_layers, np.unique(known))
    for name in ("prefix_vectors", "entity_vectors", *(f"bias_{layer}" for layer in range(n_layers))):
        network.arrays[name] += draw.standard_normal(network.arrays[name].shape).astype(np.float32)
    return network, (rows, addresses, drawn)


@pytest.mark.parametrize(
    ("n_events", "n_drawn", "n_layers", "offsets", "has_prefixes"),
    [
        (20, 1, 1, [3], True),
        (20, 3, 0, [], True),
        (20, 0, 2, [1, 7], True),
        (9, 1, 1, [2], False),
        (1, 1, 1, [0], True),
        (0, 1, 1, [0], False),
    ],
)
def test_gradients_of_logins_are_those_by_hand(
    n_events: int, n_drawn: int, n_layers: int, offsets: list[int], has_prefixes: bool, here: Gpu
) -> None:
    network, (rows, addresses, drawn) = logins(n_events, n_drawn, n_layers, has_prefixes=has_prefixes)
    batch = ipinsights.Batch(rows, addresses, drawn, offsets)
    there = ipinsights_device.OnDevice(here, network)
    seen, dense, tables = network.learn(batch, n_pairs=40)
    seen_there, dense_there, tables_there = there.learn(batch, n_pairs=40)
    close(there.numbers(seen_there), seen)
    assert set(dense_there) == set(dense)
    for name, gradient in dense.items():
        close(here.take(dense_there[name]), gradient, err_msg=name)
    for name, (rows, gradient) in tables.items():
        np.testing.assert_array_equal(here.take(tables_there[name][0]), rows)
        close(here.take(tables_there[name][1]), gradient, err_msg=name)
    if n_events:
        close(there.scores(batch), network.scores(batch))


def test_logins_stay_on_their_device(nowhere: Gpu) -> None:
    network, _ = logins(8, 2, 2)
    there = ipinsights_device.OnDevice(nowhere, network)
    places = {n: nowhere.put(np.zeros(n, np.int64)) for n in (8, 24, 25, 60)}
    on(nowhere.device, ipinsights_device.known(there._prefixes, places[24]))
    events = ipinsights_device.Events(places[8], places[24], places[60], places[25])
    seen, gradients = there.gradients(there.arrays, events, [1, 3], 40)
    on(nowhere.device, [seen, *gradients.values()])
    optimizer("adam", 0.1).step(there.arrays, gradients)


def topics(activation: str = "tanh", *, is_normalised: bool = True, spread: float = 0.0) -> ntm.Network:
    """Return a neural topic model of 9 words and 3 topics."""
    draw = np.random.default_rng(3)
    words, first = (draw.standard_normal((n, 4)).astype(np.float32) for n in (9, 3))
    frequency = draw.standard_normal(9).astype(np.float32)
    network = ntm.Network(words, first, frequency, (5, 4), activation=activation, is_normalised=is_normalised)
    network.arrays["spread_bias"] += np.float32(spread)
    return network


def documents(n_documents: int) -> Any:
    """Return counts of words, one document of none among them."""
    counts = np.random.default_rng(5).poisson(0.7, (n_documents, 9)).astype(np.float32)
    counts[1:2] = 0
    return sparse.csr_matrix(counts)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
@pytest.mark.parametrize("is_normalised", [False, True])
@pytest.mark.parametrize("n_documents", [40, 1, 0])
@pytest.mark.parametrize("block_values", [1 << 26, 20])
def test_gradients_of_topics_are_those_by_hand(
    activation: str,
    is_normalised: bool,
    n_documents: int,
    block_values: int,
    here: Gpu,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ntm_device, "BLOCK_VALUES", block_values)
    network = topics(activation, is_normalised=is_normalised)
    there = ntm_device.OnDevice(here, network)
    for seed in range(2):  # the second meets running means that have moved
        found = [
            each.learn(documents(n_documents), 0.5, np.random.default_rng(seed)) for each in (network, there)
        ]
        (loss, gradients), (loss_there, gradients_there) = found
        close(loss_there.numbers(), loss.numbers())
        assert set(gradients_there) == set(gradients)
        for name, gradient in gradients.items():
            close(here.take(gradients_there[name]), gradient, atol=2e-5, err_msg=name)
        close(there.loss(documents(n_documents)).numbers(), network.loss(documents(n_documents)).numbers())
    other = topics(activation, is_normalised=is_normalised)
    there.leave(other)
    for name, values in network.frozen().items():
        if name != "activation":
            close(other.frozen()[name], values, err_msg=name)


def test_variances_beyond_their_bounds_come_back_as_on_the_processor(here: Gpu) -> None:
    network = topics(spread=9.0)
    there = ntm_device.OnDevice(here, network)
    _, wanted = network.learn(documents(40), 1.0, np.random.default_rng(0))
    _, found = there.learn(documents(40), 1.0, np.random.default_rng(0))
    assert np.abs(wanted["spread_bias"]).min() > 1
    close(here.take(found["spread_bias"]), wanted["spread_bias"])


def test_topics_stay_on_their_device(nowhere: Gpu) -> None:
    there = ntm_device.OnDevice(nowhere, topics())
    loss, gradients = there.learn(documents(40), 0.5, np.random.default_rng(0))
    on(nowhere.device, [*loss[:2], *gradients.values(), *there.loss(documents(40))[:2], *there._running[0]])
    optimizer("adam", 0.1).step(there.arrays, {name: each * 0.1 for name, each in gradients.items()})
    on(nowhere.device, there.arrays.values())


def encoders(**given: Any) -> object2vec.Network:
    """Return an Object2Vec network away from its beginning."""
    shape: dict[str, Any] = {
        "networks": ("pooled_embedding", "pooled_embedding"),
        "n_layers": (1, 1),
        "filter_widths": (3, 3),
        "n_columns": (7, 7),
        "vocabularies": (12, 12),
        "longest": (8, 8),
        "width": 7,
        "is_tied": False,
        "comparators": ("hadamard", "concat", "abs_diff"),
        "mlp_layers": 1,
        "mlp_dim": 6,
        "mlp_activation": "tanh",
        "n_classes": 3,
    }
    network = object2vec.Network.begin(object2vec.Shape(**(shape | given)), 0.5)
    draw = np.random.default_rng(2)
    for values in network.arrays.values():
        values[:] += 0.3 * draw.standard_normal(values.shape, np.float32)
    return network


def pairs(n_pairs: int, longest: int, n_classes: int) -> Pairs:
    """Return pairs of sequences, some of no tokens."""
    draw = np.random.default_rng(4)
    sides = [
        Tokens.of([draw.integers(0, 12, draw.integers(0, longest + 1)).tolist() for _ in range(n_pairs)])
        for _ in range(2)
    ]
    labels = draw.integers(0, n_classes, n_pairs) if n_classes else draw.standard_normal(n_pairs)
    return Pairs((sides[0], sides[1]), labels.astype(np.float32))


WIDE = {"hcnn": ("hcnn", "hcnn"), "bilstm": ("bilstm", "bilstm")}


@pytest.mark.parametrize(
    ("given", "longest", "dropout"),
    [
        ({}, 5, 0.0),
        ({"is_tied": True}, 5, 0.3),
        ({"mlp_activation": "relu", "mlp_layers": 2, "n_classes": 0}, 5, 0.3),
        ({"mlp_activation": "linear", "mlp_layers": 0}, 5, 1.0),
        ({"comparators": ("abs_diff",)}, 1, 0.0),
        ({"comparators": ("concat", "hadamard"), "n_classes": 0}, 0, 0.0),
        ({"networks": WIDE["hcnn"]}, 5, 0.2),
        ({"networks": WIDE["hcnn"], "n_layers": (3, 1), "filter_widths": (2, 4), "width": 10}, 6, 0.0),
        ({"networks": WIDE["hcnn"], "filter_widths": (1, 9), "is_tied": True}, 3, 0.0),
        ({"networks": WIDE["hcnn"]}, 0, 0.0),
        ({"networks": WIDE["bilstm"]}, 5, 0.2),
        ({"networks": WIDE["bilstm"], "n_layers": (2, 1), "width": 9, "is_tied": True}, 6, 0.0),
        ({"networks": WIDE["bilstm"]}, 0, 0.0),
        ({"networks": ("bilstm", "hcnn"), "n_columns": (3, 5), "width": 8}, 4, 0.0),
    ],
)
@pytest.mark.parametrize("n_pairs", [30, 1])
def test_gradients_of_encoders_are_those_by_hand(
    given: dict[str, Any], longest: int, dropout: float, n_pairs: int, here: Gpu
) -> None:
    network = encoders(**given)
    batch = pairs(n_pairs, longest, network.shape.n_classes)
    there = object2vec_device.OnDevice(here, network)
    sums, dense, touched = network.learn(batch, np.random.default_rng(7), dropout)
    sums_there, dense_there, touched_there = there.learn(batch, np.random.default_rng(7), dropout)
    close(there.numbers(sums_there), sums)
    close(there.numbers(there.measure(batch)), network.measure(batch))
    assert set(dense_there) == set(dense)
    assert set(touched_there) == set(touched)
    for name, gradient in dense.items():
        close(here.take(dense_there[name]), gradient, err_msg=name)
    for name, (rows, gradient) in touched.items():
        rows_there, gradient_there = touched_there[name]
        np.testing.assert_array_equal(here.take(rows_there), rows)
        close(here.take(gradient_there), gradient, err_msg=name)
        whole = there.whole(name, rows_there, gradient_there)
        close(here.take(whole), network.whole(name, rows, gradient))


@pytest.mark.parametrize("network", ["pooled_embedding", "hcnn", "bilstm"])
@pytest.mark.parametrize("n_classes", [3, 0])
def test_encoders_stay_on_their_device(network: str, n_classes: int, nowhere: Gpu) -> None:
    given = {"networks": (network, network), "n_layers": (1, 1) if network == "pooled_embedding" else (2, 1)}
    there = object2vec_device.OnDevice(nowhere, encoders(n_classes=n_classes, **given))
    batch = pairs(30, 5, n_classes)
    sums, gradients, touched = there.learn(batch, np.random.default_rng(0), 0.2)
    on(nowhere.device, [sums, there.measure(batch), *gradients.values()])
    steps = optimizer("adam", 0.1)
    for name, (rows, gradient) in touched.items():
        steps.step_rows(name, there.arrays[name], rows, gradient)
        gradients[name] = there.whole(name, rows, gradient)
    steps.step(there.arrays, gradients)
    on(nowhere.device, there.arrays.values())


@pytest.mark.parametrize("storage", ["dense", "row_sparse"])
def test_frozen_vectors_and_the_best_pass_are_those_of_the_processor(
    storage: str, here: Gpu, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    example = {each.name: each for each in base.examples("object2vec")}["convolutions"]
    vectors = "".join(f"w{token} {' '.join([str(token / 9)] * 8)}\n" for token in range(5))
    words = json.dumps({f"w{token}": token for token in range(5)})
    files = {"auxiliary": {"vectors.txt": vectors.encode(), "words.json": words.encode()}}
    given = {
        "epochs": "9",
        "enc0_pretrained_embedding_file": "vectors.txt",
        "enc0_vocab_file": "words.json",
        "token_embedding_storage_type": storage,
        "tied_token_embedding_weight": "false",
        "weight_decay": "0.001",
    }
    changed = replace(example, hyperparameters={**example.hyperparameters, **given}, files=files)
    found = []
    for place, device in enumerate((None, here)):
        monkeypatch.setattr(_gpu, "find", lambda device=device: device)
        folder = train(base.find("object2vec"), changed, tmp_path / str(place))
        found.append(np.load(folder / "model_algo-1"))
    np.testing.assert_array_equal(found[1]["enc0_tokens"], found[0]["enc0_tokens"])
    for key in set(found[0].files) - {"shape"}:
        close(found[1][key], found[0][key], atol=1e-5, err_msg=key)


@pytest.mark.parametrize("name", ["ipinsights", "ntm"])
def test_two_hosts_with_devices_learn_what_two_without_learn(
    name: str, here: Gpu, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    example = base.examples(name)[0]
    lines = [row.decode() for row in example.channels["train"]]
    cut = len(lines) * 3 // 5  # shards of different lengths
    found = []
    for place, device in enumerate((None, here)):
        monkeypatch.setattr(_gpu, "find", lambda device=device: device)
        given = dict(example.hyperparameters)
        pair = [
            training(name, tmp_path / str(place), part, host, HOSTS, given, example.content_type)
            for host, part in zip(HOSTS, (lines[:cut], lines[cut:]), strict=True)
        ]
        assert together([partial(base.find(name).fit, each) for each in pair]) == [None, None]
        found.append(np.load(pair[0].model_dir / "model_algo-1"))
    for key in found[0].files:
        if found[0][key].dtype == np.float32:
            np.testing.assert_allclose(found[1][key], found[0][key], rtol=1e-4, atol=1e-5, err_msg=key)
