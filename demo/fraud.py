"""Catch the phishing site: train, deploy and ask a model, with the SageMaker Python SDK as it comes.

Nothing here knows of Clary: `clary run -- python demo/fraud.py` sets the environment
that leads the SDK to it.
"""

import argparse
import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from data import TARGET, Split, load
from evaluation import Costs, Labels, Scores, area_under_curve, cheapest_threshold, judge
from narration import Narrator
from report import Findings, write
from rich.padding import Padding
from rich.table import Table
from sagemaker import Session, get_execution_role, image_uris
from sagemaker.deserializers import CSVDeserializer
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.predictor import Predictor
from sagemaker.serializers import CSVSerializer

COSTS = Costs(missed_fraud=50.0, false_alarm=5.0)
HYPERPARAMETERS = {
    "objective": "binary:logistic",
    "num_round": 60,
    "max_depth": 4,
    "eta": 0.15,
    "subsample": 0.9,
    "eval_metric": "logloss",
    "seed": 7,
}
USUAL_THRESHOLD = 0.5
LOG_LINE = re.compile(r"\[(\d+)\].*?train-(\w+):([\d.]+).*?validation-\w+:([\d.]+)")


def as_labels(rows: pd.DataFrame) -> Labels:
    """Return the first column."""
    return rows[TARGET].to_numpy(dtype=np.int64)


def upload(session: Session, split: Split, folder: Path) -> dict[str, TrainingInput]:
    """Write the CSV files that XGBoost wants (label first, no header) and upload them."""
    channels = {}
    for name, rows in (("train", split.train), ("validation", split.validation)):
        path = folder / f"{name}.csv"
        rows.to_csv(path, index=False, header=False)
        uri = session.upload_data(str(path), key_prefix="phishing/data")
        channels[name] = TrainingInput(uri, content_type="text/csv")
    return channels


def ask(predictor: Predictor, rows: pd.DataFrame) -> Scores:
    """Return the endpoint's score of every row."""
    answer = predictor.predict(rows.drop(columns=TARGET).to_numpy())
    return np.array([float(value) for line in answer for value in line])


def time_single_requests(predictor: Predictor, rows: pd.DataFrame, n: int = 50) -> float:
    """Return the median time of a request for one row, in milliseconds, as the SDK's user sees it."""
    times = []
    for row in rows.drop(columns=TARGET).to_numpy()[:n]:
        begun = time.perf_counter()
        predictor.predict(row)
        times.append(time.perf_counter() - begun)
    return float(np.median(times)) * 1000


def curves_of(lines: list[str]) -> tuple[dict[str, list[float]], str]:
    """Return the learning curves that the job printed, and the metric's name."""
    curves: dict[str, list[float]] = {"train": [], "validation": []}
    metric = ""
    for match in _matches(lines):
        metric = match.group(2)
        curves["train"].append(float(match.group(3)))
        curves["validation"].append(float(match.group(4)))
    return curves, metric


def _matches(lines: list[str]) -> Iterator[re.Match[str]]:
    return (match for line in lines if (match := LOG_LINE.search(line)))


def train(session: Session, role: str, channels: dict[str, TrainingInput]) -> Estimator:
    """Train the built-in XGBoost on the uploaded files."""
    bucket = session.default_bucket()
    estimator = Estimator(
        image_uri=image_uris.retrieve("xgboost", session.boto_region_name, "1.7-1"),
        role=role,
        instance_count=1,
        instance_type="ml.m5.large",
        output_path=f"s3://{bucket}/phishing/output",
        hyperparameters=HYPERPARAMETERS,
        sagemaker_session=session,
    )
    estimator.fit(channels)
    return estimator


def deploy(session: Session, estimator: Estimator) -> Predictor:
    """Put the model behind a REST endpoint."""
    predictor = estimator.deploy(
        initial_instance_count=1,
        instance_type="ml.m5.large",
        serializer=CSVSerializer(),
        deserializer=CSVDeserializer(),
        wait=False,
    )
    # deploy(wait=True) looks for the first time after 30 s; one second is enough here.
    session.wait_for_endpoint(predictor.endpoint_name, poll=1)
    return predictor


def main(output: Path) -> None:
    """Run the whole story."""
    tell = Narrator(n_steps=7)
    tell.console.print("\n[bold]Catch the phishing site[/]", style="cyan")
    price = f"A missed fraud costs {COSTS.missed_fraud:.0f}, a false alarm {COSTS.false_alarm:.0f}."
    tell.console.print(f"{price} Which websites do we block?")

    with tell.step("Read the data", "1,250 websites from the package river"):
        split = load()
        sizes = (len(split.train), len(split.validation), len(split.test))
        tell.say("{} to train, {} to choose by, {} held out".format(*sizes))

    with tell.step("Open a session and upload", "Session, get_execution_role, upload_data"):
        session = Session()
        role = get_execution_role(session)
        channels = upload(session, split, output)
        tell.say(f"role   {role}")
        tell.say(f"bucket s3://{session.default_bucket()}")

    with tell.step("Train", "Estimator.fit on the built-in XGBoost 1.7-1, its log as it comes"):
        with tell.quotation() as log:
            estimator = train(session, role, channels)
        tell.say(f"model  {estimator.model_data}")

    with tell.step("Deploy", "Estimator.deploy: a REST endpoint"):
        with tell.quotation():
            predictor = deploy(session, estimator)
        tell.say(f"endpoint {predictor.endpoint_name}")

    with tell.step("Ask the endpoint", "predictor.predict with CSV"):
        chosen_by, scores = ask(predictor, split.validation), ask(predictor, split.test)
        latency_ms = time_single_requests(predictor, split.test)
        tell.say(f"{len(chosen_by) + len(scores)} sites scored; one a request: median {latency_ms:.1f} ms")

    with tell.step("Evaluate", "confusion matrix, ROC, the threshold of least cost"):
        threshold = cheapest_threshold(as_labels(split.validation), chosen_by, COSTS)
        findings = judge_both(
            split,
            scores,
            threshold,
            log=log.lines,
            latency_ms=latency_ms,
            job=estimator.latest_training_job.name,
        )
        tell.console.print(comparison(findings))

    with tell.step("Clean up", "delete_model, delete_endpoint"):
        predictor.delete_model()
        predictor.delete_endpoint()

    conclude(tell, findings, write(findings, tell.times, output))


def judge_both(
    split: Split, scores: Scores, threshold: float, *, log: list[str], latency_ms: float, job: str
) -> Findings:
    """Judge the held-out sites at the usual and at the chosen threshold."""
    labels = as_labels(split.test)
    curves, metric = curves_of(log)
    return Findings(
        labels=labels,
        scores=scores,
        costs=COSTS,
        usual=judge(labels, scores, USUAL_THRESHOLD, COSTS),
        chosen=judge(labels, scores, threshold, COSTS),
        area=area_under_curve(labels, scores),
        n_train=len(split.train),
        n_validation=len(split.validation),
        curves=curves,
        metric=metric,
        latency_ms=latency_ms,
        job=job,
    )


def comparison(findings: Findings) -> Table:
    """Return the two thresholds side by side."""
    table = Table(box=None, padding=(0, 2), pad_edge=False, title_justify="left")
    table.add_column("     on the held-out sites")
    columns = (findings.usual, findings.chosen)
    for heading in ("usual threshold", "chosen"):
        table.add_column(heading, justify="right")
    rows = (
        ("threshold", [f"{each.threshold:.3f}" for each in columns]),
        ("accuracy", [f"{each.accuracy:.1%}" for each in columns]),
        ("precision", [f"{each.precision:.1%}" for each in columns]),
        ("recall", [f"{each.recall:.1%}" for each in columns]),
        ("frauds caught", [f"{each.true_positives}" for each in columns]),
        ("frauds missed", [f"{each.false_negatives}" for each in columns]),
        ("false alarms", [f"{each.false_positives}" for each in columns]),
        ("honest let through", [f"{each.true_negatives}" for each in columns]),
        ("cost", [f"{each.cost:,.0f}" for each in columns]),
    )
    for name, values in rows:
        table.add_row(f"     {name}", *values, style="bold" if name == "cost" else None)
    return table


def conclude(tell: Narrator, findings: Findings, page: Path) -> None:
    """Print the summary."""
    table = Table(box=None, padding=(0, 2), pad_edge=False, show_header=False)
    for title, seconds in tell.times:
        table.add_row(f"     {title}", f"[dim]{seconds:6.1f} s[/]")
    tell.console.print("\n[bold cyan]Summary[/]")
    tell.console.print(table)
    tell.console.print(f"\n     area under the ROC curve  [bold]{findings.area:.3f}[/]")
    tell.console.print(Padding(findings.verdict, (0, 0, 0, 5)))
    tell.console.print(f"\n     report  [bold]{page}[/]")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("demo-output"))
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    main(arguments.output)
