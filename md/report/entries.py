"""Entries of results.json: value, unit, error, method, and what else a result knows in plain numbers."""

from dataclasses import fields
from typing import Any

import numpy as np


def entry(result: Any, unit: str | None = None, **context: Any) -> dict[str, Any]:
    """Turn a result into an entry of results.json; curves stay in the CSV files.

    Args:
        result: a frozen dataclass with `value`, `error`, `method` and perhaps more.
        unit: unit of the value, if the class does not say it.
        context: what the value belongs to, such as species and temperature.
    """
    found: dict[str, Any] = {
        "value": result.value,
        "unit": unit or result.unit,
        "error": result.error,
        "method": result.method,
    }
    for field in fields(result):
        content = getattr(result, field.name)
        if field.name not in found and not isinstance(content, np.ndarray):
            found[field.name] = list(content) if isinstance(content, tuple) else content
    return found | context


def join_name(observable: str, *parts: str) -> str:
    """Name of an entry: the observable and the parts that tell it from its siblings."""
    return ".".join([observable, *(part for part in parts if part)])
