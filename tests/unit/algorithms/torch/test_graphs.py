"""Networks as ONNX files say what the networks themselves say."""

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clary.algorithms import _onnx, base
from clary.algorithms.base import Question
from clary.testing.algorithm_suite import train

torch = pytest.importorskip("torch", reason="needs pip install 'clary[torch]'")
onnx = pytest.importorskip("onnx", reason="needs pip install 'clary[torch]'")
pytestmark = pytest.mark.torch


def answered(path: Path, given: dict[str, Any]) -> list[Any]:
    """Return what ONNX's own evaluator says; names that a graph lacks are left out."""
    reference = pytest.importorskip("onnx.reference")
    evaluator = reference.ReferenceEvaluator(onnx.load(path))
    with np.errstate(divide="ignore"):  # its logarithm of a softmax
        return list(evaluator.run(None, {name: given[name] for name in evaluator.input_names}))


@pytest.mark.parametrize(
    ("likelihood", "cardinality", "n_dynamic"),
    [("student-T", (3, 2), 2), ("negative-binomial", (), 0), ("deterministic-L1", (4,), 0)],
)
def test_deepar_forecasts_from_its_file(
    likelihood: str, cardinality: tuple[int, ...], n_dynamic: int, tmp_path: Path
) -> None:
    from clary.algorithms.deepar import _forecast, _graph  # noqa: PLC0415 - of torch
    from clary.algorithms.deepar._network import Network, Shape  # noqa: PLC0415
    from clary.algorithms.deepar._series import Series  # noqa: PLC0415

    lags = (1, 2, 6, 7, 8, 14)
    shape = Shape(
        "1D", 14, 7, likelihood, 6, 2, 3, cardinality, n_dynamic, lags, has_year=True, is_whole=False
    )
    torch.manual_seed(3)
    network, draw = Network(shape).eval(), np.random.default_rng(3)
    for each in network.parameters():
        torch.nn.init.normal_(each, std=0.2)
    first = shape.clock.place("2024-01-05")
    series = []
    for n_values in (5, 40, 60):
        target = draw.uniform(1, 9, n_values).astype(np.float32)
        target[draw.random(n_values) < 0.2] = np.nan
        beside = draw.normal(size=(n_dynamic, n_values + 7)).astype(np.float32) if n_dynamic else None
        series.append(Series(first, target, tuple(int(draw.integers(n)) for n in cardinality), beside))
    wanted = _forecast.paths(_forecast.exact(network), series, 2000)

    n_steps = 21
    past = np.full((3, shape.n_past), np.nan, np.float32)
    dynamic = np.zeros((3, n_steps, n_dynamic), np.float32)
    for place, each in enumerate(series):
        n_seen = min(len(each), shape.n_past)
        past[place, -n_seen:] = each.target[-n_seen:]
        if each.dynamic is not None:
            seen = each.dynamic.T[-n_steps:]
            dynamic[place, -len(seen) :] = seen
    starts = np.array([each.place + len(each) - 14 for each in series])
    _graph.write(tmp_path / "model.onnx", network)
    mean, chances, *_ = answered(
        tmp_path / "model.onnx",
        {
            "past": past,
            "length": np.array([len(each) for each in series], np.float32),
            "calendar": shape.clock.features(starts, n_steps),
            "dynamic": dynamic,
            "categories": np.array([each.cat for each in series], np.int64).reshape(3, -1),
        },
    )
    np.testing.assert_allclose(chances.sum(axis=-1), 1, atol=1e-5)
    away = np.abs(wanted.mean(axis=1) - mean)
    assert (away <= 6 * wanted.std(axis=1) / np.sqrt(2000) + 1e-4).all()


SHAPE = {
    "rnn_num_hidden": "12",
    "cnn_num_hidden": "12",
    "num_embed_source": "8",
    "num_embed_target": "8",
    "num_layers_encoder": "2",
    "num_layers_decoder": "2",
}


@pytest.mark.parametrize(
    "given",
    [
        {"encoder_type": "cnn", "decoder_type": "cnn"},
        {"encoder_type": "cnn", "rnn_attention_type": "bilinear"},
        {"rnn_cell_type": "gru", "rnn_decoder_state_init": "avg"},
    ],
)
def test_seq2seq_says_the_next_word_from_its_file(given: dict[str, str], tmp_path: Path) -> None:
    from clary.algorithms.seq2seq import _graph  # noqa: PLC0415 - of torch
    from clary.algorithms.seq2seq._network import Network, Shape  # noqa: PLC0415

    torch.manual_seed(3)
    params = base.find("seq2seq").validate({**SHAPE, **given})
    network, draw = Network(Shape.of(params, 20, 21)).eval(), np.random.default_rng(3)
    _graph.write(tmp_path / "model.onnx", network)
    onnx.checker.check_model(onnx.load(tmp_path / "model.onnx"))
    if "rnn_cell_type" in given:  # ONNX's own evaluator has no cells that look both ways
        return
    for n_source, n_said in ((1, 1), (7, 5)):
        source, said = draw.integers(4, 20, (1, n_source)), draw.integers(2, 20, (1, n_said))
        with torch.inference_mode():
            wanted = _graph.Spoken(network)(torch.from_numpy(source), torch.from_numpy(said)).numpy()
        [likely] = answered(tmp_path / "model.onnx", {"source": source, "said": said})
        np.testing.assert_allclose(likely, wanted, atol=1e-5)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
def test_ntm_finds_topics_from_its_file(activation: str, tmp_path: Path) -> None:
    example = base.examples("ntm")[0]
    example = dataclasses.replace(
        example, hyperparameters={**example.hyperparameters, "encoder_layers_activation": activation}
    )
    folder = train(base.find("ntm"), example, tmp_path)
    counts = np.loadtxt(io.BytesIO(b"".join(example.requests)), delimiter=",", dtype=np.float32)
    [found] = answered(folder / "model.onnx", {"counts": counts})
    body = Question(body=b"".join(example.requests), content_type="text/csv", accept="text/csv")
    [answer] = base.find("ntm").load(folder, {}).predict_many([body])
    np.testing.assert_allclose(found, np.loadtxt(io.BytesIO(answer.body), delimiter=","), atol=1e-5)


@pytest.mark.parametrize("network", ["pooled_embedding", "hcnn"])
@pytest.mark.parametrize("output_layer", ["softmax", "mean_squared_error"])
def test_object2vec_compares_from_its_file(network: str, output_layer: str, tmp_path: Path) -> None:
    wants_classes = output_layer == "softmax"
    example = next(
        each
        for each in base.examples("object2vec")
        if (each.hyperparameters.get("output_layer", "softmax") == "softmax") == wants_classes
    )
    given = {
        **example.hyperparameters,
        "enc0_network": network,
        "enc0_layers": "2",
        "enc0_cnn_filter_width": "4",
        "output_layer": output_layer,
        "enc_dim": example.hyperparameters["enc0_token_embedding_dim"],
    }
    folder = train(base.find("object2vec"), dataclasses.replace(example, hyperparameters=given), tmp_path)
    pairs = [{"in0": [1, 2, 3, 4], "in1": [4]}, {"in0": [5], "in1": [2, 2]}]
    tokens = [np.full((2, 4), -1), np.full((2, 2), -1)]
    for row, pair in enumerate(pairs):
        for side, several in enumerate(tokens):
            several[row, : len(pair[f"in{side}"])] = pair[f"in{side}"]
    first, _, scores = answered(folder / "model.onnx", {"in0": tokens[0], "in1": tokens[1]})
    predictor = base.find("object2vec").load(folder, {})
    for asked, member, found in (
        (pairs, "scores", scores),
        ([{"in0": pair["in0"]} for pair in pairs], "embeddings", first),
    ):
        body = json.dumps({"instances": asked}).encode()
        [answer] = predictor.predict_many([Question(body=body, content_type="application/json")])
        wanted = [each[member] for each in json.loads(answer.body)["predictions"]]
        np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("place", range(len(base.examples("ipinsights"))))
def test_ip_insights_judges_from_its_file(place: int, tmp_path: Path) -> None:
    from clary.algorithms.ipinsights import events  # noqa: PLC0415

    example = base.examples("ipinsights")[place]
    folder = train(base.find("ipinsights"), example, tmp_path)
    pairs = [events.fields(line.strip()) for each in example.channels["train"] for line in each.splitlines()]
    pairs += [(b"nobody", b"255.255.255.255"), (b"nobody", b"0.0.0.0")]
    n_vectors = len(np.load(folder / "model_algo-1")["entity_vectors"])
    found = answered(
        folder / "model.onnx",
        {
            "entity": np.array([events.row_of(entity, n_vectors) for entity, _ in pairs]),
            "address": np.array([events.number_of(address) for _, address in pairs]),
        },
    )
    body = b"".join(entity + b"," + address + b"\n" for entity, address in pairs)
    asked = Question(body=body, content_type="text/csv", accept="application/json; verbose=true")
    [answer] = base.find("ipinsights").load(folder, {}).predict_many([asked])
    said = json.loads(answer.body)["predictions"]
    for name, each in zip(("dot_product", "entity_embedding", "ip_embedding"), found, strict=True):
        np.testing.assert_allclose(each, [one[name] for one in said], atol=1e-5)


def test_boxes_of_several_images_stay_apart_in_a_file(tmp_path: Path) -> None:
    from clary.algorithms import _torch  # noqa: PLC0415 - of torch
    from clary.algorithms.object_detection._network import _flat  # noqa: PLC0415

    class Heads(torch.nn.Module):  # type: ignore[misc, name-defined]  # torch is imported if it is there
        def forward(self, offsets: Any) -> Any:
            return _flat([offsets, offsets], 4)

    seen = torch.randn(3, 8, 5, 5)
    _torch.export_onnx(tmp_path / "model.onnx", Heads(), (seen[:1],), ("offsets",), ("boxes",))
    [found] = answered(tmp_path / "model.onnx", {"offsets": seen.numpy()})
    np.testing.assert_allclose(found, Heads()(seen).numpy())


def test_a_file_that_is_too_large_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_onnx, "MOST_BYTES", 100)
    graph = _onnx.Graph()
    graph.array(np.zeros(100))
    graph.write(tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()
