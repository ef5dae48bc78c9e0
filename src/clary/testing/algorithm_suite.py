# ruff: noqa: D102 - the name of a test is the sentence it proves
"""The laws of every built-in algorithm, to be run over each folder of `clary.algorithms`.

class TestAlgorithms(AlgorithmSuite):
@pytest.fixture(params=base.names())
def algorithm(self, request):
return base.find(request.param)
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from clary.algorithms import _contents, base
from clary.algorithms.base import Algorithm, Answer, Example, Question, Source, Training
from clary.kernel.errors import CustomerError
from clary.toolkit.hyperparameters import Categorical, Hyperparameter, Text, _Numeric
from clary.toolkit.metrics import Scraper

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Trained: TypeAlias = Callable[[Algorithm, Example], Path]
"""Returns the folder of a model, which nobody writes to."""
BESIDE = {"", "JSON", "labels, float32"}
"""Kinds of files that stand beside a model."""
HEAVY = ("numpy", "scipy", "pandas", "sklearn", "xgboost", "torch", "botocore")
"""Libraries that a definition must not import: the server reads it."""


def train(
    algorithm: Algorithm,
    example: Example,
    folder: Path,
    channels: Mapping[str, Sequence[bytes]] | None = None,
    **more: Any,
) -> Path:
    """Train on an example, in a folder of its own; return the model folder. Skip without its extra.

    Parameters
    ----------
    more : Any
        Further members of the training.
    """
    if algorithm.extra:
        pytest.importorskip(algorithm.extra, reason=f"needs pip install 'clary[{algorithm.extra}]'")
    sources = {}
    for name, rows in (channels or example.channels).items():
        path = folder / "input" / name / "part"
        path.mkdir(parents=True)
        (path / "rows").write_bytes(b"".join(rows))
        sources[name] = Source(name=name, path=path.parent, content_type=example.content_type)
    for name, files in example.files.items():
        path = folder / "input" / name
        path.mkdir(parents=True)
        for file, content_of in files.items():
            (path / file).write_bytes(content_of)
        sources[name] = Source(name=name, path=path)
    model_dir = folder / "model"
    model_dir.mkdir()
    algorithm.fit(
        Training(
            params=algorithm.validate(example.hyperparameters),
            sources=sources,
            model_dir=model_dir,
            output_data_dir=folder / "output",
            name=example.name,
            n_threads=1,
            **more,
        )
    )
    return model_dir


def ask(algorithm: Algorithm, example: Example, model_dir: Path, *, together: bool = False) -> list[Answer]:
    """Ask a model all requests of an example, one by one or all at once."""
    predictor = algorithm.load(model_dir, {})
    questions = [
        Question(body=body, content_type=example.request_type, accept=example.answer_type)
        for body in example.requests
    ]
    if together:
        return predictor.predict_many(questions)
    return [predictor.predict_many([question])[0] for question in questions]


def content(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def numbers(answers: Sequence[Answer]) -> list[float]:
    """Return every number in JSON answers, or in records, in order."""
    import json  # noqa: PLC0415

    from clary.toolkit.formats import recordio_protobuf  # noqa: PLC0415

    found: list[float] = []

    def gather(value: Any) -> None:
        if isinstance(value, dict | list):
            for member in value.values() if isinstance(value, dict) else value:
                gather(member)
        elif isinstance(value, int | float):
            found.append(float(value))

    for answer in answers:
        assert answer.status == 200, answer
        if answer.content_type == "application/x-recordio-protobuf":
            for record in recordio_protobuf.decode_records(answer.body):
                gather([tensor.values.tolist() for tensor in {**record.features, **record.label}.values()])
            continue
        gather(json.loads(answer.body))
    return found


def bad_values(hyperparameter: Hyperparameter) -> list[str]:
    """Return values that a hyperparameter must refuse."""
    if isinstance(hyperparameter, Text):
        return []
    if isinstance(hyperparameter, Categorical):
        return ["no-such-word"]
    if not isinstance(hyperparameter, _Numeric):
        return ["[no such value"]
    interval = hyperparameter.interval
    values = ["many", "nan"] if hyperparameter.kind == "Continuous" else ["many", "1.5"]
    for bound, step in ((interval.min, -1), (interval.above, 0), (interval.max, 1), (interval.below, 0)):
        if bound is not None:
            values.append(
                f"{bound + step:g}" if hyperparameter.kind == "Continuous" else str(int(bound + step))
            )
    return values


class AlgorithmSuite:
    """Laws that every algorithm keeps; a subclass gives the fixture `algorithm`."""

    @pytest.fixture(scope="class")
    @classmethod
    def trained(cls, tmp_path_factory: pytest.TempPathFactory) -> Trained:
        """Return what trains on an example as it is, once for the laws that only look at the model."""
        found: dict[tuple[str, str], Path] = {}

        def once(algorithm: Algorithm, example: Example) -> Path:
            key = algorithm.name, example.name
            if key not in found:
                found[key] = train(algorithm, example, tmp_path_factory.mktemp("trained"))
            return found[key]

        return once

    @pytest.fixture
    def examples(self, algorithm: Algorithm) -> tuple[Example, ...]:
        return base.examples(algorithm.name)

    def test_its_folder_has_its_name(self, algorithm: Algorithm) -> None:
        assert algorithm.name in base.names()
        assert base.find(algorithm.name) is algorithm

    def test_its_definition_imports_no_heavy_library(self, algorithm: Algorithm) -> None:
        code = (
            f"import sys; from clary.algorithms import base; base.find({algorithm.name!r}); "
            f"print([name for name in {HEAVY!r} if name in sys.modules])"
        )
        printed = subprocess.run(  # noqa: S603 - our own text
            [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
        )
        assert printed.stdout.strip() == "[]"

    def test_the_same_seed_gives_the_same_model(
        self, algorithm: Algorithm, examples: tuple[Example, ...], trained: Trained, tmp_path: Path
    ) -> None:
        for example in examples:
            again = train(algorithm, example, tmp_path / example.name)
            assert content(again) == content(trained(algorithm, example)), example.name

    def test_the_order_of_rows_changes_a_model_within_its_tolerance_only(
        self, algorithm: Algorithm, examples: tuple[Example, ...], trained: Trained, tmp_path: Path
    ) -> None:
        for example in examples:
            draw = random.Random(5)  # noqa: S311 - an order, not a secret
            shuffled = {name: draw.sample(rows, len(rows)) for name, rows in example.channels.items()}
            other = train(algorithm, example, tmp_path / example.name, shuffled)
            wanted = numbers(ask(algorithm, example, trained(algorithm, example)))
            assert numbers(ask(algorithm, example, other)) == pytest.approx(
                wanted, abs=example.shuffle_tolerance
            )

    def test_a_model_says_the_same_after_it_was_moved_and_loaded_again(
        self, algorithm: Algorithm, examples: tuple[Example, ...], tmp_path: Path
    ) -> None:
        for example in examples:
            model_dir = train(algorithm, example, tmp_path / example.name)
            before = ask(algorithm, example, model_dir)
            moved = model_dir.rename(tmp_path / f"moved-{example.name}")
            assert ask(algorithm, example, moved) == before

    def test_a_batch_is_answered_as_its_members_are(
        self, algorithm: Algorithm, examples: tuple[Example, ...], trained: Trained
    ) -> None:
        for example in examples:
            model_dir = trained(algorithm, example)
            single = ask(algorithm, example, model_dir)
            assert numbers(single), example.name
            assert ask(algorithm, example, model_dir, together=True) == single

    def test_a_bad_question_spoils_no_other(
        self, algorithm: Algorithm, examples: tuple[Example, ...], trained: Trained
    ) -> None:
        example = examples[0]
        predictor = algorithm.load(trained(algorithm, example), {})
        good = Question(body=example.requests[0], content_type=example.request_type)
        bad = Question(body=b"\xff no rows \0", content_type=example.request_type)
        unknown = Question(body=example.requests[0], content_type="image/tiff")
        answers = predictor.predict_many([good, bad, unknown, good])
        assert [answer.status >= 400 for answer in answers] == [False, True, True, False]
        assert answers[0] == answers[3] == predictor.predict_many([good])[0]

    def test_a_bad_hyperparameter_is_refused_by_name_value_and_range(
        self, algorithm: Algorithm, examples: tuple[Example, ...]
    ) -> None:
        good = dict(examples[0].hyperparameters)
        for hyperparameter in algorithm.hyperparameters:
            for value in bad_values(hyperparameter):
                with pytest.raises(CustomerError) as refused:
                    algorithm.validate({**good, hyperparameter.name: value})
                text = str(refused.value)
                assert hyperparameter.name in text
                assert value in text
                assert hyperparameter.range_text in text or hyperparameter.allowed in text

    def test_a_missing_or_unknown_hyperparameter_is_refused_by_name(
        self, algorithm: Algorithm, examples: tuple[Example, ...]
    ) -> None:
        good = dict(examples[0].hyperparameters)
        with pytest.raises(CustomerError, match="no_such_hyperparameter"):
            algorithm.validate({**good, "no_such_hyperparameter": "1"})
        for hyperparameter in algorithm.hyperparameters:
            if hyperparameter.is_required:
                rest = {name: value for name, value in good.items() if name != hyperparameter.name}
                with pytest.raises(CustomerError, match=hyperparameter.name):
                    algorithm.validate(rest)

    def test_an_empty_channel_is_a_customer_error_that_names_it(
        self, algorithm: Algorithm, examples: tuple[Example, ...], tmp_path: Path
    ) -> None:
        example = examples[0]
        for name in example.channels:
            with pytest.raises(CustomerError, match=name):
                train(algorithm, example, tmp_path / name, {**example.channels, name: ()})

    def test_several_hosts_are_refused_where_one_trains_alone(
        self, algorithm: Algorithm, examples: tuple[Example, ...], tmp_path: Path
    ) -> None:
        if not algorithm.instances.distributed:
            with pytest.raises(CustomerError, match="InstanceCount"):
                train(algorithm, examples[0], tmp_path, hosts=("algo-1", "algo-2"))

    def test_declared_metrics_checkpoints_and_artefacts_are_those_that_training_leaves(
        self,
        algorithm: Algorithm,
        examples: tuple[Example, ...],
        tmp_path: Path,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        scraper = Scraper({"Name": metric.name, "Regex": metric.regex} for metric in algorithm.metrics)
        declared = {metric.name for metric in algorithm.metrics}
        found: set[str] = set()
        kinds: set[str] = set()
        for example in examples:
            checkpoints = tmp_path / example.name / "checkpoints"
            checkpoints.mkdir(parents=True)
            model_dir = train(algorithm, example, tmp_path / example.name, checkpoint_dir=checkpoints)
            assert any(checkpoints.iterdir()) is algorithm.checkpoints, example.name
            kinds |= {part.kind for part in _contents.parts(model_dir)} - BESIDE
            printed = {
                name for line in capfd.readouterr().out.splitlines() for name, _ in scraper.scrape(line)
            }
            assert set(example.metrics) <= printed, example.name
            found |= printed
        assert found == declared
        assert kinds == set(algorithm.artefacts)
        assert all(map(_contents.opened_by, kinds))
