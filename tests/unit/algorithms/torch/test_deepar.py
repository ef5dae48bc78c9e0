"""DeepAR: clock, series, likelihoods, forecasts, requests."""

import gzip
import json
import math
import re
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clary.algorithms import base
from clary.algorithms.base import Question, Source, Training
from clary.algorithms.deepar._clock import Clock
from clary.algorithms.deepar._series import SeriesError, read, series_of
from clary.kernel.errors import CustomerError
from clary.testing.several_hosts import HOSTS, together

DAYS = Clock("1D")
RECORD = {"start": "2024-01-01 00:00:00", "target": [1, None, "NaN", 4]}


def test_lags_are_seasons_of_the_frequency() -> None:
    assert {7, 14, 364} <= set(Clock("1D").lags.tolist())
    assert {24, 168} <= set(Clock("1H").lags.tolist())
    assert {12, 24} <= set(Clock("1M").lags.tolist())
    assert {288, 2016} <= set(Clock("5min").lags.tolist())
    assert Clock("2H").season == 84


@pytest.mark.parametrize(
    ("clock", "start", "later"),
    [
        ("1D", "2024-02-28", "2024-02-29"),
        ("1H", "2024-02-28 23:10:00", "2024-02-29T00:40:00"),
        ("5min", "2024-01-01 00:02:00", "2024-01-01 00:07:59"),
        ("1W", "2024-01-01", "2024-01-14"),
        ("1M", "2023-12-31", "2024-01-01"),
    ],
)
def test_a_step_later_is_the_next_place(clock: str, start: str, later: str) -> None:
    one = Clock(clock)
    assert one.after(one.place(start), 1) == one.place(later)


def test_the_calendar_repeats_with_the_week() -> None:
    days = Clock("1D", has_year=False)
    found = days.features(np.array([days.place("2024-01-01")]), 15)[0]
    np.testing.assert_allclose(found[0, -2:], found[7, -2:], atol=1e-6)
    assert not np.allclose(found[0, -2:], found[3, -2:], atol=0.1)


@pytest.mark.parametrize("start", ["yesterday", "2024-01-01T00:00:00Z", "2024-13-01", ""])
def test_a_start_that_is_no_time_is_refused(start: str) -> None:
    with pytest.raises(SeriesError, match="start is"):
        series_of({**RECORD, "start": start}, DAYS)


@pytest.mark.parametrize(
    ("member", "value", "text"),
    [
        ("target", "1", "target must be a list"),
        ("target", [1, "x"], "target has 'x'"),
        ("target", [1, math.inf], "target has inf"),
        ("cat", [-1], "cat is"),
        ("dynamic_feat", [[1, None]], "dynamic_feat has None"),
        ("dynamic_feat", [[1], [1, 2]], "one length"),
    ],
)
def test_a_member_that_is_none_is_refused_by_name(member: str, value: Any, text: str) -> None:
    with pytest.raises(SeriesError, match=text):
        series_of({**RECORD, member: value}, DAYS)


def test_missing_values_are_null_or_nan() -> None:
    found = series_of(RECORD, DAYS).target
    assert np.isnan(found).tolist() == [False, True, True, False]


def test_lines_gzip_and_parquet_say_the_same(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet  # noqa: PLC0415 - an extra

    records = [
        {
            "start": f"2024-01-0{day} 00:00:00",
            "target": [1.0, 2.0, day],
            "cat": [day],
            "dynamic_feat": [[0.0, 1.0, 0.0]],
        }
        for day in range(1, 4)
    ]
    text = "".join(f"{json.dumps(each)}\n" for each in records).encode()
    for name in ("lines", "packed", "columns"):
        (tmp_path / name).mkdir()
    (tmp_path / "lines/part.json").write_bytes(text)
    (tmp_path / "packed/part.json.gz").write_bytes(gzip.compress(text))
    parquet.write_table(pyarrow.Table.from_pylist(records), tmp_path / "columns/part.parquet")
    found = [
        [
            (each.place, each.target.tolist(), each.cat)
            for each in read(Source(name="train", path=tmp_path / name), DAYS)
        ]
        for name in ("lines", "packed", "columns")
    ]
    assert len(found[0]) == 3
    assert found[0] == found[1] == found[2]


def test_a_bad_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "part").write_text(json.dumps(RECORD) + "\n{}\n")
    with pytest.raises(CustomerError, match=r"'train': .*part, line 2: must be"):
        read(Source(name="train", path=tmp_path), DAYS)


torch = pytest.importorskip("torch", reason="needs pip install 'clary[torch]'")
pytestmark = pytest.mark.torch

from clary.algorithms.deepar import _mixture  # noqa: E402 - where torch is
from clary.algorithms.deepar._course import Course  # noqa: E402
from clary.algorithms.deepar._forecast import measure  # noqa: E402
from clary.algorithms.deepar._likelihood import LIKELIHOODS  # noqa: E402


@pytest.mark.parametrize("name", sorted(LIKELIHOODS))
def test_draws_have_the_loss_that_their_likelihood_expects(name: str) -> None:
    """The loss of draws is least under the parameters that they were drawn from."""
    likelihood = LIKELIHOODS[name]
    outputs = torch.full((2000, likelihood.n_outputs), 0.3, dtype=torch.float64)
    places = torch.full((2000, 1), 0.4 if name == "beta" else 2.0, dtype=torch.float64)
    parameters = tuple(
        each[..., 0] for each in likelihood.parameters(outputs, places, torch.full_like(places, 0.5))
    )
    scale = torch.full((2000,), 1.0 if name == "beta" else 5.0, dtype=torch.float64)
    uniform = np.random.default_rng(3).random((2000, 2))
    drawn = likelihood.draw(tuple(each.numpy() for each in parameters), scale.numpy(), uniform)
    assert np.isfinite(drawn).all()
    values = torch.from_numpy(np.array(np.broadcast_to(drawn, (2000,))))
    least = likelihood.loss(values, scale, parameters).mean()
    for off in (0.7, 1.4):
        other = (parameters[0] * off, *parameters[1:])
        assert likelihood.loss(values, scale, other).mean() > least
    if name == "negative-binomial":
        assert (drawn == np.round(drawn)).all()


def test_a_path_repeats_one_season() -> None:
    """Draws lie around places as often as their chances say, and a step's place is its path's."""
    likelihood = LIKELIHOODS["gaussian"]
    chances = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64).log().expand(1, 4, 3)
    places = torch.tensor([0.0, 10.0, 20.0], dtype=torch.float64).expand(1, 4, 3)
    said = _mixture.Said((places, torch.full_like(places, 0.1)), chances)
    uniform = np.random.default_rng(5).random((1, 4000, 4, 3))
    uniform[..., _mixture.CHOSEN] = uniform[:, :, :1, _mixture.CHOSEN]
    drawn = _mixture.draw(likelihood, np.ones((1, 1)), said, uniform)
    which = np.round(drawn / 10)
    assert (which == which[:, :, :1]).all()
    shares = [np.mean(which == place) for place in range(3)]
    assert shares == pytest.approx([0.2, 0.5, 0.3], abs=0.03)


def test_the_loss_of_equal_places_is_that_of_one() -> None:
    likelihood = LIKELIHOODS["student-T"]
    values, scale = torch.tensor([[1.0, 3.0]]), torch.tensor([[2.0]])
    outputs, one = torch.full((1, 2, 3), 0.2), torch.ones((1, 2, 1))
    single = likelihood.parameters(outputs.index_fill(-1, torch.tensor([0]), 0.0), one, one)
    thrice = likelihood.parameters(
        outputs.index_fill(-1, torch.tensor([0]), 0.0), one.expand(1, 2, 3), one.expand(1, 2, 3)
    )
    alone = _mixture.loss(likelihood, values, scale, _mixture.Said(single, torch.zeros((1, 2, 1))))
    equal = torch.full((1, 2, 3), -math.log(3))
    assert torch.allclose(alone, _mixture.loss(likelihood, values, scale, _mixture.Said(thrice, equal)))


def test_errors_are_weighted_by_what_came() -> None:
    forecasts = np.array([[[1.0, 2.0], [3.0, 2.0]]])
    error, losses = measure(forecasts, np.array([[2.0, 4.0]]), [0.5])
    assert error == pytest.approx(math.sqrt(2))
    assert losses == {0.5: pytest.approx(2 / 6)}
    assert measure(forecasts, np.array([[2.0, np.nan]]), [0.5])[1] == {0.5: 0.0}


def train(folder: Path, records: list[Any], **hyperparameters: str) -> Any:
    path = folder / "train"
    path.mkdir(parents=True, exist_ok=True)
    (path / "part").write_text("".join(f"{json.dumps(each)}\n" for each in records))
    algorithm = base.find("deepar")
    given = {
        "time_freq": "D",
        "context_length": "7",
        "prediction_length": "7",
        "epochs": "1",
        "num_cells": "6",
    }
    params = algorithm.validate({**given, "mini_batch_size": "8", **hyperparameters})
    algorithm.fit(
        Training(
            params=params,
            sources={"train": Source(name="train", path=path)},
            model_dir=folder / "model",
            output_data_dir=folder / "output",
            checkpoint_dir=folder / "checkpoints",
            n_threads=1,
        )
    )
    return algorithm.load(folder / "model", {})


def weekly(n_steps: int, cat: int = 0) -> dict[str, Any]:
    return {"start": "2024-01-01", "target": [float(10 + step % 7) for step in range(n_steps)], "cat": [cat]}


def ask(predictor: Any, document: Any) -> Any:
    [answer] = predictor.predict_many([Question(body=json.dumps(document).encode())])
    assert answer.status == 200, answer
    return json.loads(answer.body)["predictions"]


def test_a_week_is_forecast_from_the_weeks_before(tmp_path: Path) -> None:
    predictor = train(tmp_path, [weekly(70), weekly(63)])
    [found] = ask(predictor, {"instances": [weekly(70)], "configuration": {"output_types": ["mean"]}})
    np.testing.assert_allclose(found["mean"], [10 + step for step in range(7)], atol=1.5)


def test_what_is_asked_for_is_answered(tmp_path: Path) -> None:
    predictor = train(tmp_path, [weekly(40), weekly(30, 1)])
    given = {"num_samples": 20, "output_types": ["samples", "quantiles"], "quantiles": ["0.1", "0.9"]}
    found = ask(predictor, {"instances": [weekly(20), weekly(5, 1)], "configuration": given})
    assert [sorted(each) for each in found] == [["quantiles", "samples"]] * 2
    assert np.shape(found[0]["samples"]) == (20, 7)
    low, high = (np.array(found[0]["quantiles"][each]) for each in ("0.1", "0.9"))
    assert (low <= high).all()


@pytest.mark.parametrize(
    ("instance", "configuration", "text"),
    [
        ({"cat": [2]}, {}, r"cat has 2, not in range \[0, 1\]"),
        ({"cat": []}, {}, "cat has 0 members"),
        ({}, {"num_samples": 0}, "num_samples is 0"),
        ({}, {"output_types": ["median"]}, "output_types is"),
        ({}, {"quantiles": ["1.5"]}, "quantiles is"),
        ({}, {"samples": 3}, "'samples', not one of num_samples"),
    ],
)
def test_a_request_that_is_wrong_is_refused_by_name(
    instance: Any, configuration: Any, text: str, tmp_path: Path
) -> None:
    predictor = train(tmp_path, [weekly(40), weekly(30, 1)])
    body = {"instances": [{**weekly(20), **instance}], "configuration": configuration}
    [answer] = predictor.predict_many([Question(body=json.dumps(body).encode())])
    assert answer.status == 400

    assert re.search(text, answer.body.decode())


def test_a_retry_goes_on_where_the_last_run_was_stopped(tmp_path: Path, capfd: Any) -> None:
    train(tmp_path, [weekly(40)], epochs="1")
    capfd.readouterr()
    train(tmp_path, [weekly(40)], epochs="3")
    printed = capfd.readouterr().out
    assert "Resuming after epoch 1" in printed
    assert "epoch=0, train loss" not in printed
    assert "epoch=2, train loss" in printed


@pytest.mark.parametrize("hosts", [HOSTS[:1], HOSTS], ids=["alone", "together"])
def test_a_resumed_training_ends_as_one_that_was_not_stopped(
    hosts: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deepar = base.find("deepar")
    given = {"time_freq": "D", "context_length": "7", "prediction_length": "7", "epochs": "3"}
    params = deepar.validate({**given, "num_cells": "6", "mini_batch_size": "8"})
    for number, host in enumerate(hosts):
        (tmp_path / host).mkdir()
        series = [weekly(40 + number), {**weekly(50), "target": [0.5 * step for step in range(50)]}]
        (tmp_path / host / "part").write_text("".join(f"{json.dumps(each)}\n" for each in series))

    def job(place: str, host: str) -> Training:
        folder = tmp_path / place / host
        return Training(
            params=params,
            sources={"train": Source(name="train", path=tmp_path / host)},
            model_dir=folder / "model",
            output_data_dir=folder / "output",
            checkpoint_dir=folder / "checkpoints",
            hosts=hosts,
            host=host,
            name=f"{tmp_path.name}-{place}",
            n_threads=1,
        )

    def left(course: Course, epoch: int) -> None:
        leave(course, epoch)
        state = tmp_path / "whole" / hosts[0] / "checkpoints"
        if epoch == 1 and course._training.host == hosts[0]:
            shutil.copytree(state, tmp_path / "parts" / hosts[0] / "checkpoints")

    leave = Course._leave
    with monkeypatch.context() as patch:
        patch.setattr(Course, "_leave", left)
        assert together([partial(deepar.fit, job("whole", host)) for host in hosts]) == [None] * len(hosts)
    assert together([partial(deepar.fit, job("parts", host)) for host in hosts]) == [None] * len(hosts)
    wanted, found = (
        np.load(tmp_path / place / hosts[0] / "model/model_algo-1") for place in ("whole", "parts")
    )
    for name in wanted.files:
        np.testing.assert_array_equal(found[name], wanted[name], err_msg=name)


def test_series_that_are_all_too_short_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CustomerError, match=r"no series has prediction_length \(7\)"):
        train(tmp_path, [weekly(5)])
