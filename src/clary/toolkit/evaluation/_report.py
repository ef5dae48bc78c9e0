"""The report: one HTML file that needs nothing else, light or dark, on a screen or a phone."""

import html
from collections.abc import Sequence
from pathlib import Path

from clary.toolkit.evaluation.base import Evaluation, Figure, Sheet

STYLE = Path(__file__).with_name("_report.css")


def page(evaluation: Evaluation, title: str) -> str:
    """Return the whole page."""
    tiles = "".join(
        f"<div><b>{html.escape(value)}</b><span>{html.escape(words)}</span></div>"
        for value, words in evaluation.tiles
    )
    matrices = [each for each in evaluation.sheets if each.is_matrix]
    others = [each for each in evaluation.sheets if not each.is_matrix]
    first = [each for each in evaluation.figures[:1] if each.is_wide]
    rest = evaluation.figures[len(first) :]
    is_odd = sum(not each.is_wide for each in rest) % 2 == 1  # then a table stands beside the last picture
    body = "".join(
        [
            *map(_figure, first),
            *(_sheet(each, is_alone=len(matrices) == 1) for each in matrices),
            *map(_figure, rest),
            *(_sheet(each, is_alone=n > 0 or not is_odd) for n, each in enumerate(others)),
        ]
    )
    notes = "".join(f"<li>{html.escape(each)}</li>" for each in evaluation.notes)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE.read_text()}</style></head><body><main>"
        f"<h1>{html.escape(title)} · {evaluation.kind}, {evaluation.n_rows:,} rows</h1>"
        f'<p class="verdict">{html.escape(evaluation.verdict)}</p><div class="tiles">{tiles}</div>'
        f'<div class="grid">{body}</div><ul class="notes">{notes}</ul></main></body></html>\n'
    )


def _figure(figure: Figure) -> str:
    wide = " wide" if figure.is_wide else ""
    text = f"<p>{html.escape(figure.text)}</p>" if figure.text else ""
    return f'<figure class="card{wide}"><h2>{html.escape(figure.title)}</h2>{figure.svg}{text}</figure>'


def _sheet(sheet: Sheet, *, is_alone: bool) -> str:
    head = "".join(f'<th scope="col">{html.escape(each)}</th>' for each in sheet.columns)
    rows = "".join(_row(sheet, n, row) for n, row in enumerate(sheet.rows))
    text = f"<p>{html.escape(sheet.text)}</p>" if sheet.text else ""
    kinds = ["matrix"] if sheet.is_matrix else []
    kinds += ["many"] if sheet.is_matrix and len(sheet.rows) > 3 else []
    kind = f' class="{" ".join(kinds)}"' if kinds else ""
    wide = " wide" if is_alone else ""
    return (
        f'<section class="card{wide}"><h2>{html.escape(sheet.title)}</h2><div class="scroll">'
        f"<table{kind}><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>{text}</section>"
    )


def _row(sheet: Sheet, n: int, row: Sequence[str]) -> str:
    cells = []
    for k, cell in enumerate(row[1:]):
        first, *more = cell.split("|")
        if sheet.is_matrix:
            off = "" if n == k else ' class="off"'
            shade = f' style="--v:{sheet.shades[n][k]:.3f}"'
            lead = f"<b>{html.escape(first)}</b>"
        else:
            off = shade = ""
            lead = html.escape(first)
        rest = "".join(f"<span>{html.escape(each)}</span>" for each in more)
        cells.append(f"<td{off}{shade}>{lead}{rest}</td>")
    return f'<tr><th scope="row">{html.escape(row[0])}</th>{"".join(cells)}</tr>'
