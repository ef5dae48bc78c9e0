"""The report's pictures: SVG drawn by matplotlib, coloured by the page.

Colours are placeholders here; `svg` swaps them for the page's CSS variables, so that one
picture serves light and dark.
"""

import io
import re

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from evaluation import Labels, Outcome, Scores
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

INK, FAINT, GOOD, BAD = "#010101", "#020202", "#030303", "#040404"
ACCENT, PLAIN, CARD = "#050505", "#060606", "#070707"
VARIABLES = {
    INK: "var(--ink)",
    FAINT: "var(--faint)",
    GOOD: "var(--good)",
    BAD: "var(--bad)",
    ACCENT: "var(--accent)",
    PLAIN: "var(--plain)",
    CARD: "var(--card)",
}
STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "axes.grid": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}


def canvas(width: float = 5.6, height: float = 3.5) -> tuple[Figure, Axes]:
    """Return a figure and its axes, in the report's style."""
    mpl.rcParams.update(STYLE)
    figure, axes = plt.subplots(figsize=(width, height), layout="constrained")
    return figure, axes


def svg(figure: Figure, title: str) -> str:
    """Return the figure as inline SVG with the page's colours and a title for screen readers."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)
    text = out.getvalue()
    text = text[text.index("<svg") :]
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, variable)
    # Fonts come from the page, and ids must not meet those of the next picture.
    text = re.sub(r"font: ([\d.]+)px [^;\"]+", r"font-size: \1px", text)
    mark = re.sub(r"\W+", "-", title.lower())
    text = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{mark}-", text)
    text = re.sub(r'<svg ([^>]*?)width="[^"]+"', r"<svg \1", text, count=1)
    text = re.sub(r'<svg ([^>]*?)height="[^"]+"', r"<svg \1", text, count=1)
    return text.replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)


def cost_by_threshold(thresholds: Scores, cost: Scores, usual: float, chosen: float) -> str:
    """Draw what each threshold would cost per 1,000 sites."""
    figure, axes = canvas(11.4, 3.8)
    axes.plot(thresholds, cost, color=ACCENT, linewidth=2)
    for value, colour, words in ((usual, BAD, "usual"), (chosen, GOOD, "chosen")):
        height = float(np.interp(value, thresholds, cost))
        axes.axvline(value, color=colour, linewidth=1, linestyle=(0, (4, 3)))
        axes.plot([value], [height], "o", color=colour, markersize=8)
        axes.annotate(
            f"{words} {value:.2f}\n{height:,.0f}",
            (value, height),
            xytext=(8, 38),
            textcoords="offset points",
            bbox={"boxstyle": "round,pad=0.25", "facecolor": CARD, "edgecolor": "none", "alpha": 0.85},
        )
    # Near 1 everything is let in and the curve leaves the picture: the choice is made far below.
    ceiling = min(float(cost.max()), 2.5 * float(np.interp(usual, thresholds, cost))) or None
    axes.set(xlabel="Threshold", ylabel="Cost per 1,000 sites", xlim=(0, 1), ylim=(0, ceiling))
    axes.yaxis.set_major_formatter("{x:,.0f}")
    return svg(figure, "Cost by threshold")


def roc(labels: Labels, scores: Scores, area: float, outcomes: dict[str, Outcome]) -> str:
    """Draw the ROC curve with the two thresholds on it."""
    figure, axes = canvas()
    false_alarms, caught, _ = roc_curve(labels, scores)
    axes.fill_between(false_alarms, caught, color=ACCENT, alpha=0.12, linewidth=0)
    axes.plot(false_alarms, caught, color=ACCENT, linewidth=2, label=f"model, area {area:.3f}")
    axes.plot([0, 1], [0, 1], color=PLAIN, linewidth=1, linestyle=(0, (4, 3)), label="chance, area 0.5")
    for (words, outcome), colour in zip(outcomes.items(), (BAD, GOOD), strict=True):
        axes.plot(
            [outcome.false_alarm_rate],
            [outcome.recall],
            "o",
            color=colour,
            markersize=8,
            label=words,
            zorder=5,
        )
    axes.set(xlabel="Honest sites accused", ylabel="Frauds caught", xlim=(-0.01, 1), ylim=(0, 1.02))
    axes.legend(loc="lower right")
    return svg(figure, "ROC curve")


def scores_by_class(labels: Labels, scores: Scores, chosen: float) -> str:
    """Draw how the scores of the two classes spread."""
    figure, axes = canvas()
    bins = np.linspace(0, 1, 26).tolist()
    axes.hist(scores[labels == 0], bins=bins, color=PLAIN, alpha=0.55, label="honest")
    axes.hist(scores[labels == 1], bins=bins, color=BAD, alpha=0.6, label="phishing")
    axes.axvline(chosen, color=GOOD, linewidth=1.5, linestyle=(0, (4, 3)), label="chosen threshold")
    axes.set(xlabel="Score", ylabel="Sites (logarithmic)", xlim=(0, 1), yscale="log")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.legend(loc="upper center")
    return svg(figure, "Scores by class")


def learning_curve(curves: dict[str, list[float]], metric: str) -> str:
    """Draw the metric over the rounds, as the job's log told it."""
    figure, axes = canvas()
    for (name, values), colour in zip(curves.items(), (PLAIN, ACCENT), strict=False):
        axes.plot(range(len(values)), values, color=colour, linewidth=2, label=name)
    axes.set(xlabel="Round", ylabel=metric)
    axes.legend()
    return svg(figure, "Learning curve")
