"""A search for the volume: a run at each of several, and what follows starts at the one without pressure."""

from collections.abc import Mapping, Sequence
from typing import Any

from mlip.errors import ConfigError


def is_search(entry: Mapping[str, Any]) -> bool:
    """Whether an entry of a protocol stands for a search of the volume."""
    return "volumes" in entry


def expand_search(name: str, entry: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Write the stages of a search out.

    Args:
        name: Name of the search; its stages are called `NAME_0.9` and `NAME_0.9_settle`.
        entry: Keys of an nvt stage, with `volumes` (relative to that of the start) and optionally
            `settle_ps`: time at each volume before its pressure counts.

    Returns:
        Name and keys of each stage, in order of time.

    Raises:
        ConfigError: The volumes are not four or more numbers, or the cell may change by itself.
    """
    volumes = entry["volumes"]
    is_list = isinstance(volumes, Sequence) and not isinstance(volumes, str)
    if not is_list or not all(isinstance(each, int | float) for each in volumes) or len(set(volumes)) < 4:
        raise ConfigError(
            f"search {name} has volumes={volumes}; expected four or more, such as [0.9, 1.0, 1.1, 1.2]"
        )
    if entry.get("ensemble") != "nvt":
        raise ConfigError(f"search {name} has ensemble={entry.get('ensemble')}; expected nvt")
    shared = {key: value for key, value in entry.items() if key not in ("volumes", "settle_ps")}
    stages: list[tuple[str, dict[str, Any]]] = []
    for volume in sorted(volumes):
        stage = {**shared, "production": False, "volume": float(volume)}
        if entry.get("settle_ps"):
            stages.append((f"{name}_{volume:g}_settle", {**stage, "duration_ps": entry["settle_ps"]}))
        stages.append((f"{name}_{volume:g}", {**stage, "search": name}))
    return stages
