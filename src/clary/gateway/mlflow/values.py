"""Values between MLflow's JSON and trial components."""

import math
from collections.abc import Mapping
from typing import Any

from clary.gateway.mlflow.errors import invalid
from clary.kernel.clock import epoch_ms
from clary.services.sagemaker._components import LAST_STEP

WRITTEN = "Written"
"""Of a parameter that spells a number: how it was written, which the wire does not show."""


def as_float(value: Any) -> float:
    """Return a metric's value; JSON spells NaN and the infinities as texts.

    Raises
    ------
    MlflowError
        It is no number.
    """
    try:
        return float(value)
    except (TypeError, ValueError):
        raise invalid(f"Got invalid value {value!r} for metric: it is not a number.") from None


def parameter_of(text: str) -> dict[str, Any]:
    """Return a text as a parameter: as a number, where it spells one, that remembers its spelling."""
    try:
        number = float(text)
    except ValueError:
        return {"StringValue": text}
    if not math.isfinite(number) or "_" in text:
        return {"StringValue": text}
    return {"NumberValue": number, WRITTEN: text}


def text_of(parameter: Mapping[str, Any]) -> str:
    """Return a parameter as MLflow shows it."""
    if WRITTEN in parameter:
        return str(parameter[WRITTEN])
    if "StringValue" in parameter:
        return str(parameter["StringValue"])
    number = parameter.get("NumberValue", "")
    return str(int(number)) if isinstance(number, float) and number.is_integer() else str(number)


def metric_shown(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the latest value of a metric as MLflow shows it."""
    value = summary.get("Last", math.nan)
    return {
        "key": summary["MetricName"],
        "value": value if math.isfinite(value) else _spelled(value),
        "timestamp": epoch_ms(summary["TimeStamp"]),
        "step": max(0, summary.get(LAST_STEP) or 0),
    }


def _spelled(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
