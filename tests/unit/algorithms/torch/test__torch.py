"""What algorithms on torch share."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clary.algorithms.base import Training
from clary.kernel.errors import CustomerError
from clary.testing.several_hosts import HOSTS, together
from clary.toolkit.hyperparameters import Params

torch = pytest.importorskip("torch", reason="needs pip install 'clary[torch]'")
from clary.algorithms import _torch  # noqa: E402 - where torch is

pytestmark = pytest.mark.torch


def training(
    folder: Path, host: str = "algo-1", hosts: tuple[str, ...] = ("algo-1",), **given: Any
) -> Training:
    return Training(
        params=Params(given),
        sources={},
        model_dir=folder / host / "model",
        output_data_dir=folder / host / "output",
        checkpoint_dir=folder / host / "checkpoints",
        hosts=hosts,
        host=host,
        name=folder.name,
        n_threads=1,
    )


def test_two_hosts_begin_with_one_model_and_sum_their_gradients(tmp_path: Path) -> None:
    found: dict[str, Any] = {}

    def run(host: str) -> None:
        with _torch.joined(training(tmp_path, host, HOSTS)) as group:
            module = torch.nn.Linear(3, 2)
            group.share(module)
            module.weight.requires_grad_(requires_grad=True)
            rows = torch.ones(4, 3) * (1 + group.hosts.rank)
            (module(rows) * torch.tensor([1.0, 2.0])).sum().backward()
            group.sum_gradients(module.parameters(), scale=0.5)
            assert module.weight.grad is not None
            found[host] = module.weight.detach(), module.weight.grad, group.sum(torch.tensor([1, 2]))

    assert together([partial(run, host) for host in HOSTS]) == [None, None]
    one, two = (found[host] for host in HOSTS)
    assert torch.equal(one[0], two[0])
    for each in (one, two):
        assert each[1].tolist() == [[6.0] * 3, [12.0] * 3]
        assert each[2].tolist() == [2, 4]


def test_a_gradient_that_only_one_host_has_counts_on_all(tmp_path: Path) -> None:
    found: list[Any] = []

    def run(host: str) -> None:
        with _torch.joined(training(tmp_path, host, HOSTS)) as group:
            parts = [torch.nn.Parameter(torch.ones(2)) for _ in range(2)]
            (parts[group.hosts.rank] * 3).sum().backward()
            group.sum_gradients(parts)
            found.append([None if each.grad is None else each.grad.tolist() for each in parts])

    assert together([partial(run, host) for host in HOSTS]) == [None, None]
    assert found == [[[3.0, 3.0], [3.0, 3.0]]] * 2


def test_a_host_that_fails_ends_one_that_waits_for_its_gradients(tmp_path: Path) -> None:
    def run(host: str) -> None:
        with _torch.joined(training(tmp_path, host, HOSTS)) as group:
            if host == HOSTS[1]:
                raise CustomerError("line 7 is no number")
            group.sum(torch.ones(3))

    errors = together([partial(run, host) for host in HOSTS])
    assert [type(each) for each in errors] == [CustomerError, CustomerError]
    assert all("line 7 is no number" in str(each) for each in errors)


def test_a_checkpoint_is_found_again_by_all_hosts(tmp_path: Path) -> None:
    found: list[Any] = []

    def run(host: str) -> None:
        with _torch.joined(training(tmp_path, host, HOSTS)) as group:
            assert _torch.resumed(training(tmp_path, host, HOSTS), group) is None
            state = {"epoch": 3, "weights": torch.arange(3), "host": host}
            _torch.checkpoint(training(tmp_path, host, HOSTS), state)
            found.append(_torch.resumed(training(tmp_path, host, HOSTS), group))

    assert together([partial(run, host) for host in HOSTS]) == [None, None]
    assert [(each["epoch"], each["weights"].tolist(), each["host"]) for each in found] == [
        (3, [0, 1, 2], HOSTS[0])
    ] * 2
    assert not (tmp_path / HOSTS[1] / "checkpoints").exists()


def test_a_checkpoint_that_is_none_is_refused(tmp_path: Path) -> None:
    one = training(tmp_path)
    assert one.checkpoint_dir is not None
    one.checkpoint_dir.mkdir(parents=True)
    (one.checkpoint_dir / _torch.CHECKPOINT).write_bytes(b"no checkpoint")
    with (
        _torch.joined(one) as group,
        pytest.raises(CustomerError, match=r"Unable to resume: checkpoint\.pt"),
    ):
        _torch.resumed(one, group)


def test_a_checkpoint_goes_on_where_random_numbers_stood(tmp_path: Path) -> None:
    one = training(tmp_path, epochs=2)
    torch.manual_seed(1)
    torch.rand(5)
    _torch.checkpoint(one, {})
    wanted = torch.rand(5)
    with _torch.joined(one) as group:
        torch.manual_seed(1)
        _torch.resumed(training(tmp_path, epochs=3), group)
        assert torch.equal(torch.rand(5), wanted)


@pytest.mark.parametrize(
    ("left", "found", "text"),
    [
        ({"width": 3}, {"width": 4}, "hyperparameter width is 4, and 3 in the training that left"),
        ({}, {"sizes": (1, 2)}, r"hyperparameter sizes is \[1, 2\], and not given in the training"),
        ({"kind": "a"}, {}, 'hyperparameter kind is not given, and "a" in the training'),
    ],
)
def test_a_checkpoint_of_other_hyperparameters_is_refused(
    left: Any, found: Any, text: str, tmp_path: Path
) -> None:
    alike: dict[str, Any] = {"sides": (3, 4), "rate": 0.1}
    _torch.checkpoint(training(tmp_path, **alike, **left), {"epoch": 1})
    again = training(tmp_path, **alike, **found)
    with _torch.joined(again) as group, pytest.raises(CustomerError, match=f"Unable to resume: {text}"):
        _torch.resumed(again, group)


def test_weights_are_a_numpy_archive_under_torchs_names(tmp_path: Path) -> None:
    module, path = torch.nn.Linear(3, 2), tmp_path / "model_algo-1"
    _torch.save(path, module, shape="3,2")
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    assert sorted(arrays) == ["bias", "shape", "weight"]
    again = _torch.restore(torch.nn.Linear(3, 2), arrays)
    rows = torch.ones(1, 3, device=_torch.device())
    assert torch.equal(again(rows).cpu(), module.cpu()(torch.ones(1, 3)))
    with pytest.raises(CustomerError, match=r"weight has shape \(2, 3\), not \(2, 4\)"):
        _torch.restore(torch.nn.Linear(4, 2), arrays)


def test_a_module_is_written_as_onnx(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    path = tmp_path / "model.onnx"
    _torch.export_onnx(path, torch.nn.Linear(3, 2), (torch.ones(1, 3),), ("data",), ("scores",))
    graph = onnx.load(path).graph
    assert [each.name for each in graph.input] == ["data"]
    assert graph.input[0].type.tensor_type.shape.dim[0].dim_param == "n"
    onnx.checker.check_model(onnx.load(path))
