"""A ladder of temperatures: one rung a temperature, each settled first and then sampled.

Source: Wang, Aykol and Mueller 2023 take the diffusivity of a glass from 720 K down in steps of 10 K.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mlip.errors import ConfigError

_RANGE_KEYS = {"start", "stop", "step"}


def is_ladder(entry: Mapping[str, Any]) -> bool:
    """Whether an entry of a protocol stands for a ladder."""
    return "temperatures_K" in entry


def expand_ladder(name: str, entry: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Write the stages of a ladder out.

    Args:
        name: Name of the ladder; its rungs are called `NAME_720K`, their settling `NAME_720K_settle`.
        entry: Keys of a stage, with `temperatures_K` (a list, or {start, stop, step}) in place of
            `temperature_K`, and optionally `settle_ps`: time at each temperature before samples are taken.

    Returns:
        Name and keys of each stage, in order of time.

    Raises:
        ConfigError: The temperatures are not a list or a range.
    """
    if "temperature_K" in entry:
        raise ConfigError(f"ladder {name} has temperature_K and temperatures_K; expected one of them")
    shared = {key: value for key, value in entry.items() if key not in ("temperatures_K", "settle_ps")}
    settle_ps = entry.get("settle_ps")
    stages: list[tuple[str, dict[str, Any]]] = []
    for temperature in _read_temperatures(name, entry["temperatures_K"]):
        rung = f"{name}_{temperature:g}K"
        if settle_ps:
            settle = {"duration_ps": settle_ps, "rate_K_per_ps": None, "production": False, "until": None}
            stages.append((f"{rung}_settle", {**shared, **settle, "temperature_K": temperature}))
        stages.append((rung, {**shared, "temperature_K": temperature}))
    return stages


def _read_temperatures(name: str, value: Any) -> list[float]:
    if isinstance(value, Mapping) and set(value) == _RANGE_KEYS:
        return _temperatures_of_range(name, value["start"], value["stop"], value["step"])
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    if not is_list or not value or not all(isinstance(each, int | float) for each in value):
        raise ConfigError(
            f"ladder {name} has temperatures_K={value}; expected a list of numbers or {{start, stop, step}}"
        )
    if len(set(value)) < len(value):
        raise ConfigError(f"ladder {name} has temperatures_K={value}; expected each temperature once")
    return list(value)


def _temperatures_of_range(name: str, start: float, stop: float, step: float) -> list[float]:
    """Both ends included; the sign of `step` does not matter."""
    if step == 0:
        raise ConfigError(f"ladder {name} has step 0; expected the distance of two rungs in K")
    signed = abs(step) if stop >= start else -abs(step)
    count = int(abs(stop - start) / abs(step) + 1e-6) + 1
    return [start + rung * signed for rung in range(count)]
