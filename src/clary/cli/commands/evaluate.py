"""`clary evaluate`: what a model is worth, from a file of its predictions."""

from pathlib import Path
from typing import Annotated

import typer

from clary.kernel.errors import SetupError

EXAMPLE = """clary evaluate predictions.csv --label fraud --score p --costs '{"missed": 2500, "alarm": 40}'"""


def evaluate(
    predictions: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV or Parquet, or a folder of them: labels and scores.")
    ],
    label: Annotated[str, typer.Option(help="Column of what came true.")] = "label",
    score: Annotated[
        str, typer.Option(help="Column of the score or prediction; with commas, one a class.")
    ] = "score",
    kind: Annotated[
        str, typer.Option(help="binary, multiclass, regression or ranking; else as it looks.")
    ] = "",
    costs: Annotated[
        str, typer.Option(help="What errors cost: JSON, or a file of it. Finds the best threshold.")
    ] = "",
    slice_: Annotated[
        list[str] | None, typer.Option("--slice", help="Column to look at value by value; may be repeated.")
    ] = None,
    weight: Annotated[str, typer.Option(help="Column of weights.")] = "",
    group: Annotated[str, typer.Option(help="Column of the query, for rankings.")] = "",
    positive: Annotated[str, typer.Option(help="Label of the class that scores speak of.")] = "1",
    threshold: Annotated[float, typer.Option(help="What costs are compared with.")] = 0.5,
    columns: Annotated[str, typer.Option(help="Names, with commas, where CSV has no header line.")] = "",
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the report and its figures.")
    ] = Path("evaluation"),
    model: Annotated[
        Path | None, typer.Option(help="Model folder or model.tar.gz to put the decision into.")
    ] = None,
    resamples: Annotated[int, typer.Option(help="Bootstrap samples behind the intervals.")] = 500,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
) -> None:
    """Judge predictions: figures with intervals, curves, what errors cost, the threshold that costs least."""
    from clary.kernel.errors import CustomerError  # noqa: PLC0415
    from clary.toolkit import evaluation  # noqa: PLC0415 - loads pandas and scikit-learn
    from clary.toolkit.evaluation import _files  # noqa: PLC0415

    given = _files.arguments().parse_args([])
    for name, value in {
        "input": predictions,
        "output": output,
        "kind": kind,
        "columns": columns,
        "label": label,
        "score": score,
        "weight": weight,
        "group": group,
        "slice": slice_ or [],
        "costs": costs,
        "positive": positive,
        "threshold": threshold,
        "resamples": resamples,
        "seed": seed,
        "title": predictions.name,
    }.items():
        setattr(given, name, value)
    try:
        found = _files.run(given)
        if model is not None and found.decision is not None:
            evaluation.export(model, found.decision)
    except (CustomerError, ValueError, OSError) as error:
        raise SetupError(str(error)) from None
    print(found.verdict)
    for name, each in found.metrics.items():
        if each.is_defined and not name.endswith("_best_constant_classifier"):
            spread = f"   {each.low:.4g} to {each.high:.4g}" if each.low == each.low else ""
            print(f"  {name:<24} {each.value:>12.6g}{spread}")
    print(f"{output / 'report.html'}")
