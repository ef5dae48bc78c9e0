"""One tuning job: its trials as a table and as pictures, the best so far, and what mattered."""

from collections.abc import Mapping, Sequence
from typing import Any

from clary.console import pictures, sdk, snippets
from clary.console.kinds import KINDS
from clary.console.pictures import Axis, Point
from clary.console.visit import Answer, Context, Missing, Page, Redirect, Visit
from clary.kernel import ids
from clary.kernel.errors import AwsError

PAGE = Page(path=r"/jobs/tuning/([^/]+)", title="Tuning job", live_s=2.0)
KIND = KINDS["tuning"]
MOST_TRIALS = 1000
"""Drawn and listed; the newest."""
LISTED = 100


def view(visit: Visit) -> Context:
    """Describe one tuning job."""
    name = visit.arguments[0]
    try:
        job = visit.api.call("DescribeHyperParameterTuningJob", HyperParameterTuningJobName=name)
    except AwsError as error:
        raise Missing(f"Tuning job {name}: {error.message}") from None
    trials = list(
        visit.api.pages(
            "ListTrainingJobsForHyperParameterTuningJob",
            "TrainingJobSummaries",
            limit=MOST_TRIALS,
            HyperParameterTuningJobName=name,
            SortBy="CreationTime",
            SortOrder="Descending",
            MaxResults=100,
        )
    )
    scored = [each for each in reversed(trials) if _score(each) is not None]
    goal, request = _goal(job), snippets.request_of(KIND.noun, job)
    return {
        "kind": KIND,
        "job": job,
        "name": name,
        "title": name,
        "here": f"/jobs/{KIND.slug}",
        "status": job["HyperParameterTuningJobStatus"],
        "trials": trials[:LISTED],
        "n_trials": len(trials),
        "best": job.get("BestTrainingJob"),
        "counters": job.get("TrainingJobStatusCounters", {}),
        "objective": goal,
        "names": _names(trials),
        "pictures": _pictures(scored, goal) if len(scored) > 1 else (),
        "score": _score,
        "boto3": snippets.boto3(KIND.noun, request),
        "sdk": sdk.program(KIND.noun, request),
    }


def act(visit: Visit) -> Answer:
    """Stop it, the best so far is kept; or run it again."""
    name = visit.arguments[0]
    try:
        match visit.form.get("do"):
            case "stop":
                visit.api.call("StopHyperParameterTuningJob", HyperParameterTuningJobName=name)
                return Redirect(
                    visit.path, "The tuning job was asked to stop. Its best trial so far is kept."
                )
            case "again":
                job = visit.api.call("DescribeHyperParameterTuningJob", HyperParameterTuningJobName=name)
                fresh = f"{name[:25].rstrip('-')}-{ids.short(6)}"
                request = {**snippets.request_of(KIND.noun, job), KIND.name: fresh}
                visit.api.call("CreateHyperParameterTuningJob", **request)
                return Redirect(f"/jobs/tuning/{fresh}", f"Started: the same as {name}.")
    except AwsError as error:
        return Redirect(visit.path, error.message)
    raise Missing("There is no such action.")


def _goal(job: Mapping[str, Any]) -> Mapping[str, str]:
    config = job["HyperParameterTuningJobConfig"]
    first = (job.get("TrainingJobDefinitions") or [{}])[0]
    found: Mapping[str, str] = (
        config.get("HyperParameterTuningJobObjective") or first.get("TuningObjective") or {}
    )
    return {"MetricName": "objective", "Type": "Minimize", **found}


def _score(trial: Mapping[str, Any]) -> float | None:
    metric = trial.get("FinalHyperParameterTuningJobObjectiveMetric")
    return None if metric is None else float(metric["Value"])


def _names(trials: Sequence[Mapping[str, Any]]) -> list[str]:
    return sorted({name for trial in trials for name in trial.get("TunedHyperParameters", {})})


def _pictures(trials: Sequence[Mapping[str, Any]], goal: Mapping[str, str]) -> list[Any]:
    """Return the objective over time, all hyperparameters in parallel, what mattered, and a slice of each."""
    metric, sign = goal["MetricName"], -1.0 if goal["Type"] == "Maximize" else 1.0
    scores = [float(_score(trial) or 0.0) for trial in trials]
    best = min(scores, key=lambda value: sign * value)
    y = Axis.over(metric, scores)
    so_far = [min(scores[: n + 1], key=lambda value: sign * value) for n in range(len(scores))]
    order = [
        Point(n + 1, score, f"{trial['TrainingJobName']}: {score:.6g}", _kind(trial, score, best))
        for n, (trial, score) in enumerate(zip(trials, scores, strict=True))
    ]
    x = Axis.over("trial", [1, len(trials)])
    made = [
        pictures.scatter(f"{metric} by trial, and the best so far", x, y, order, list(enumerate(so_far, 1)))
    ]
    axes = {name: _axis(name, trials) for name in _names(trials)}
    quality = {n: _quality(score, scores, sign) for n, score in enumerate(scores)}
    rows = [
        ({**_values(trial, axes), metric: score}, quality[n], order[n].title)
        for n, (trial, score) in enumerate(zip(trials, scores, strict=True))
    ]
    made.append(pictures.parallel("Every trial; better ones are drawn stronger", {**axes, metric: y}, rows))
    made.append(
        pictures.bars(
            "Rank correlation with the objective, without its sign", _importance(axes, rows, scores)
        )
    )
    for name, axis in axes.items():
        points = [
            Point(values[name], score, order[n].title, order[n].kind)
            for n, ((values, _, _), score) in enumerate(zip(rows, scores, strict=True))
            if name in values
        ]
        made.append(pictures.scatter(f"{metric} by {name}", axis, y, points))
    return made


def _kind(trial: Mapping[str, Any], score: float, best: float) -> str:
    if score == best:
        return "best"
    return "ended" if trial["TrainingJobStatus"] == "Stopped" else "dot"


def _quality(score: float, scores: Sequence[float], sign: float) -> float:
    worst, best = max(sign * each for each in scores), min(sign * each for each in scores)
    return 1.0 if worst == best else (worst - sign * score) / (worst - best)


def _axis(name: str, trials: Sequence[Mapping[str, Any]]) -> Axis:
    values = [
        trial["TunedHyperParameters"][name] for trial in trials if name in trial["TunedHyperParameters"]
    ]
    try:
        return Axis.over(name, [float(value) for value in values])
    except ValueError:
        return Axis(name, names=sorted(set(values)))


def _values(trial: Mapping[str, Any], axes: Mapping[str, Axis]) -> dict[str, float | str]:
    given = trial["TunedHyperParameters"]
    return {name: value if axes[name].names else float(value) for name, value in given.items()}


def _importance(
    axes: Mapping[str, Axis],
    rows: Sequence[tuple[Mapping[str, float | str], float, str]],
    scores: Sequence[float],
) -> dict[str, float]:
    """Return Spearman's rank correlation of each hyperparameter with the objective, without its sign."""
    found = {}
    for name, axis in axes.items():
        pairs = [
            (axis.at(values[name]), score)
            for (values, _, _), score in zip(rows, scores, strict=True)
            if name in values
        ]
        found[name] = abs(_correlation(_ranks([a for a, _ in pairs]), _ranks([b for _, b in pairs])))
    return found


def _ranks(values: Sequence[float]) -> list[float]:
    """Return ranks; equal values share their mean."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    start = 0
    while start < len(order):
        end = start
        while end + 1 < len(order) and values[order[end + 1]] == values[order[start]]:
            end += 1
        for place in order[start : end + 1]:
            ranks[place] = (start + end) / 2
        start = end + 1
    return ranks


def _correlation(a: Sequence[float], b: Sequence[float]) -> float:
    if len(a) < 2:
        return 0.0
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    covariance = sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
    spread = (sum((x - mean_a) ** 2 for x in a) * sum((y - mean_b) ** 2 for y in b)) ** 0.5
    return covariance / spread if spread else 0.0
