"""The report: one HTML file that needs nothing else."""

import html
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from string import Template

import pictures
from data import CAVEATS, SOURCE
from evaluation import Costs, Labels, Outcome, Scores, cost_curve

TEMPLATE = Path(__file__).with_name("report.html")


@dataclass(frozen=True)
class Findings:
    """Everything the report tells."""

    labels: Labels
    scores: Scores
    costs: Costs
    usual: Outcome
    chosen: Outcome
    area: float
    n_train: int
    n_validation: int
    curves: dict[str, list[float]]
    metric: str
    latency_ms: float
    job: str

    @property
    def saved(self) -> float:
        """Money saved on the held-out sites by the chosen threshold."""
        return self.usual.cost - self.chosen.cost

    @property
    def verdict(self) -> str:
        """The result, in a sentence."""
        per_thousand = self.saved * 1000 / self.usual.n_rows
        if self.saved <= 0:
            return f"Threshold {self.chosen.threshold:.2f} saves nothing over 0.5 on these sites."
        return (
            f"Threshold {self.chosen.threshold:.2f} instead of 0.5 saves {self.saved:,.0f} of "
            f"{self.usual.cost:,.0f} on {self.usual.n_rows} sites: {per_thousand:,.0f} per 1,000."
        )


def matrix(outcome: Outcome, title: str, mark: str) -> str:
    """Return one confusion matrix as a table."""
    cells = (
        ("phishing", ("good", outcome.true_positives, "caught"), ("bad", outcome.false_negatives, "missed")),
        (
            "honest",
            ("bad", outcome.false_positives, "false alarms"),
            ("good", outcome.true_negatives, "let through"),
        ),
    )
    rows = "".join(
        f'<tr><th scope="row">{name}</th>'
        + "".join(
            f'<td class="{kind}"><b>{count}</b><span>{words}</span></td>' for kind, count, words in pair
        )
        + "</tr>"
        for name, *pair in cells
    )
    facts = (
        ("accuracy", f"{outcome.accuracy:.1%}"),
        ("precision", f"{outcome.precision:.1%}"),
        ("recall", f"{outcome.recall:.1%}"),
        ("cost", f"{outcome.cost:,.0f}"),
    )
    listed = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    return (
        f'<section class="card {mark}"><h3>{title} <span>threshold {outcome.threshold:.2f}</span></h3>'
        '<table class="matrix">'
        '<thead><tr><td></td><th scope="col">blocked</th><th scope="col">let in</th></tr></thead>'
        f'<tbody>{rows}</tbody></table><dl class="facts">{listed}</dl></section>'
    )


def tiles(findings: Findings) -> str:
    """Return the figures at the head of the page."""
    saved = f"{findings.saved / findings.usual.cost:.0%}" if findings.usual.cost else "0 %"
    entries = (
        (f"{findings.area:.3f}", "area under the ROC curve"),
        (f"{findings.chosen.recall:.0%}", "of the frauds caught, at the chosen threshold"),
        (saved, "of the cost saved against threshold 0.5"),
        (f"{findings.latency_ms:.1f} ms", "median answer of the endpoint, one site, through the SDK"),
    )
    return "".join(f"<div><b>{value}</b><span>{words}</span></div>" for value, words in entries)


def figures(findings: Findings) -> dict[str, str]:
    """Draw every picture."""
    thresholds, cost = cost_curve(findings.labels, findings.scores, findings.costs)
    usual, chosen = findings.usual, findings.chosen
    drawn = {
        "cost_picture": pictures.cost_by_threshold(thresholds, cost, usual.threshold, chosen.threshold),
        "roc_picture": pictures.roc(
            findings.labels, findings.scores, findings.area, {"threshold 0.5": usual, "chosen": chosen}
        ),
        "scores_picture": pictures.scores_by_class(findings.labels, findings.scores, chosen.threshold),
        "learning_picture": "",
    }
    if findings.curves["train"]:
        picture = pictures.learning_curve(findings.curves, findings.metric)
        drawn["learning_picture"] = (
            f'<figure class="card">{picture}<figcaption>The job&#8217;s own log: '
            f"{html.escape(findings.metric)} of each boosting round.</figcaption></figure>"
        )
    return drawn


def write(findings: Findings, times: list[tuple[str, float]], folder: Path) -> Path:
    """Write `report.html` into `folder` and return its path."""
    longest = max(seconds for _, seconds in times)
    bars = "".join(
        f'<tr><th scope="row">{html.escape(title)}</th>'
        f'<td><i style="width:{max(1.0, 100 * seconds / longest):.0f}%"></i></td>'
        f"<td>{seconds:.1f} s</td></tr>"
        for title, seconds in times
    )
    page = Template(TEMPLATE.read_text()).substitute(
        figures(findings),
        tiles=tiles(findings),
        usual=matrix(findings.usual, "The usual threshold", "plain"),
        chosen=matrix(findings.chosen, "The chosen threshold", "chosen"),
        verdict=html.escape(findings.verdict),
        missed=f"{findings.costs.missed_fraud:.0f}",
        alarm=f"{findings.costs.false_alarm:.0f}",
        n_train=findings.n_train,
        n_validation=findings.n_validation,
        n_test=findings.usual.n_rows,
        threshold=f"{findings.chosen.threshold:.2f}",
        timings=bars,
        total=f"{sum(seconds for _, seconds in times):.0f}",
        job=html.escape(findings.job),
        source=html.escape(SOURCE),
        caveats="".join(f"<li>{html.escape(each)}</li>" for each in CAVEATS),
        written=f"{datetime.now().astimezone():%d %B %Y, %H:%M}",
    )
    path = folder / "report.html"
    path.write_text(page)
    return path
