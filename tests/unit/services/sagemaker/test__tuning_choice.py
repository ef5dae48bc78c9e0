"""The next trial of a tuning job: when it is chosen ahead, and that this changes nothing."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from clary.services.sagemaker import _tuning_choice, _tuning_trials
from clary.services.sagemaker._tuning_trials import Ledger
from clary.store.records import Record
from clary.tuning.study import Study

NOW = datetime(2026, 1, 2, tzinfo=UTC)
WORLD: Any = None
"""Only warm starts look at it."""


def tuning(**config: Any) -> Record:
    return Record(
        account="1" * 12,
        region="us-west-2",
        noun="HyperParameterTuningJob",
        key="tune",
        arn="arn:tune",
        status="InProgress",
        created=NOW,
        modified=NOW,
        document={
            "HyperParameterTuningJobConfig": {
                "Strategy": "Bayesian",
                "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "loss"},
                "ResourceLimits": {"MaxParallelTrainingJobs": 2},
                **config,
            },
            "TrainingJobDefinition": {},
        },
    )


def row(job: Record, index: int, objective: float | None) -> Record:
    training = replace(job, noun="TrainingJob", key=f"tune-{index}")
    made = _tuning_trials.made(job, training, index, "", {"x": str(index / 10)})
    if objective is None:
        return made
    metric = {"Type": "Minimize", "MetricName": "loss", "Value": objective}
    document = {**made.document, "FinalHyperParameterTuningJobObjectiveMetric": metric}
    return replace(made, document=document, private={**made.private, "settled": True})


class Counting:
    """A strategy that tells how often it was asked."""

    name = "Bayesian"
    learns = True

    def __init__(self) -> None:
        self.asked: list[int] = []

    def propose(self, study: Study, index: int) -> dict[str, str]:
        self.asked.append(index)
        return {"x": str(sum(trial.objective or 0.0 for trial in study.trials))}


@pytest.fixture
def strategy(monkeypatch: pytest.MonkeyPatch) -> Counting:
    counting = Counting()
    monkeypatch.setattr("clary.tuning.strategies.base.find", lambda _name: counting)
    return counting


def test_a_seeded_choice_made_ahead_is_taken_when_a_slot_falls_free(strategy: Counting) -> None:
    job, ledger = tuning(RandomSeed=1), Ledger()
    chooser = _tuning_choice.Chooser(WORLD, job, ledger)
    before = [row(job, 1, 5.0), row(job, 2, None), row(job, 3, None)]
    chooser.think_ahead(before)
    assert strategy.asked == [4]
    after = [row(job, 1, 5.0), row(job, 2, 1.0), row(job, 3, None)]
    chosen = _tuning_choice.Chooser(WORLD, job, ledger).next(after)
    assert strategy.asked == [4]
    assert chosen is not None
    assert chosen[1] == {"x": "5.0"}


def test_a_choice_made_ahead_is_made_again_where_an_older_trial_has_ended_since(strategy: Counting) -> None:
    job, ledger = tuning(RandomSeed=1), Ledger()
    chooser = _tuning_choice.Chooser(WORLD, job, ledger)
    chooser.think_ahead([row(job, 1, None), row(job, 2, 3.0), row(job, 3, None)])
    chosen = chooser.next([row(job, 1, 5.0), row(job, 2, 3.0), row(job, 3, None)])
    assert strategy.asked == [4, 4]
    assert chosen is not None
    assert chosen[1] == {"x": "5.0"}


def test_without_a_seed_the_newest_results_count(strategy: Counting) -> None:
    job = tuning()
    chooser = _tuning_choice.Chooser(WORLD, job, Ledger())
    chooser.think_ahead([row(job, 1, 5.0), row(job, 2, None)])
    assert strategy.asked == []
    chosen = chooser.next([row(job, 1, 5.0), row(job, 2, 2.0)])
    assert chosen is not None
    assert chosen[1] == {"x": "7.0"}
