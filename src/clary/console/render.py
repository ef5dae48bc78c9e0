"""Templates to bytes: one environment, its filters, and the headers that every page carries."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from clary.console.session import PATH
from clary.kernel.clock import now

STATIC = f"{PATH}/static"
_HEADERS = {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "x-frame-options": "DENY",
}
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def headers(address: str) -> dict[str, str]:
    """Return the headers of a page: scripts and styles come from the console's own folder, nothing else runs.

    The folder is named, because buckets share the address: what lies in one must not run as a script here.
    """
    static = f"{address}{STATIC}/"
    policy = (
        f"default-src 'none'; script-src {static}; style-src {static}; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
    return {**_HEADERS, "content-security-policy": policy}


@cache
def environment() -> jinja2.Environment:
    """Return the templates: the shared ones, and those of the pages' folders as `<page>/page.html`."""
    made = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [
                jinja2.PackageLoader("clary.console", "templates"),
                jinja2.PackageLoader("clary.console", "pages"),
            ]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "ago": ago,
        "time": shown_time,
        "when": when,
        "span": span,
        "size": size,
        "json": as_json,
        "number": number,
    }
    made.globals |= {"base": PATH, "asset": asset}
    made.globals["parts"] = made.get_template("parts.html").module
    return made


def page(template: str, context: Mapping[str, Any]) -> bytes:
    """Render a whole page."""
    return environment().get_template(template).render(context).encode()


def blocks(template: str, context: Mapping[str, Any]) -> dict[str, str]:
    """Render the live blocks of a page alone, by name: those whose name begins with `live_`."""
    loaded = environment().get_template(template)
    made = loaded.new_context(dict(context))
    return {name: "".join(block(made)) for name, block in loaded.blocks.items() if name.startswith("live_")}


@cache
def static(name: str) -> tuple[bytes, str] | None:
    """Return a file of `static/` with its content type, or None."""
    kinds = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
    kind = kinds.get(name.rpartition(".")[2])
    if kind is None or ".." in name:
        return None
    path = resources.files("clary.console") / "static" / name
    return (path.read_bytes(), kind) if path.is_file() else None


@cache
def asset(name: str) -> str:
    """Return the address of a static file; it changes with the file: browsers may keep it for ever."""
    found = static(name)
    if found is None:
        raise LookupError(f"there is no static file {name}")
    return f"{STATIC}/{name}?v={hashlib.sha256(found[0]).hexdigest()[:12]}"


# Filters.


def shown_time(value: datetime | None) -> Markup:
    """Return a time as an element that says both: how long ago, and when exactly."""
    if value is None:
        return Markup("<span class=quiet>-</span>")
    exact = value.astimezone(UTC)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        exact.isoformat(timespec="seconds"), exact.strftime("%Y-%m-%d %H:%M:%S UTC"), ago(value)
    )


def when(value: datetime) -> Markup:
    """Return a time as how long ago, and exactly, both to be read."""
    exact = value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return Markup('{} <span class="quiet">{}</span>').format(shown_time(value), exact)


def ago(value: datetime) -> str:
    """Return how long ago a time was, in its largest unit."""
    elapsed = now() - value
    if elapsed < timedelta(seconds=1):
        return "now" if elapsed > timedelta(seconds=-1) else f"in {_rough(-elapsed)}"
    return f"{_rough(elapsed)} ago"


def _rough(value: timedelta) -> str:
    return " ".join(span(value).split(" ")[:2])


def span(value: timedelta | float) -> str:
    """Return a length of time: `850 ms`, `12 s`, `3 min 20 s`, `2 h 5 min`."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if 0 < seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    left = int(seconds)
    parts: list[str] = []
    for length, unit in _UNITS:
        if left >= length or (unit == "s" and not parts):
            parts.append(f"{left // length} {unit}")
            left %= length
    return " ".join(parts[:2]) if len(parts) > 1 and not parts[1].startswith("0") else parts[0]


def size(n_bytes: float) -> str:
    """Return a number of bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if n_bytes < 1024:
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1024
    return f"{n_bytes:.1f} TiB"


def number(value: float) -> str:
    """Return a number with as many digits as say something."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"


def as_json(value: Any, indent: int | None = 2) -> str:
    """Return a document as JSON, times in ISO 8601."""
    return json.dumps(value, indent=indent, default=_plain, ensure_ascii=False)


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
