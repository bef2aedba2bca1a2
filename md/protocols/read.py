"""From the mapping name -> stage of a config to a list of stages."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from md.protocols.ladder import expand_ladder, is_ladder
from md.protocols.relaxation import Relaxation
from md.protocols.stages import ENSEMBLES, RELAX, Stage
from mlip.errors import ConfigError

_ALL_ENSEMBLES = (*ENSEMBLES, RELAX)


def read_protocol(protocol: Mapping[str, Any]) -> list[Stage]:
    """Make the stages of a protocol; order in the mapping is order in time.

    An entry with `temperatures_K` is a ladder: it stands for one or two stages a temperature.

    Args:
        protocol: Stage name to the keys of `Stage`, as in conf/protocol/*.yaml. Entries that are null are
            left out, so that `protocol.NAME=null` on the command line drops a stage.

    Raises:
        ConfigError: An entry is not a mapping, or has keys or values that no stage has.
    """
    stages: list[Stage] = []
    for name, entry in protocol.items():
        if entry is None:
            continue
        if not isinstance(entry, Mapping):
            raise ConfigError(
                f"found protocol.{name}={entry}; expected a stage, a mapping with ensemble: ..."
            )
        entries = expand_ladder(name, entry) if is_ladder(entry) else [(name, entry)]
        stages.extend(_read_stage(stage_name, keys) for stage_name, keys in entries)
    return stages


def _read_stage(name: str, entry: Mapping[str, Any]) -> Stage:
    kind = Relaxation if entry.get("ensemble") == RELAX else Stage
    keys = [field.name for field in fields(kind) if field.init and field.name != "name"]
    for key in entry:
        if key not in keys:
            close = difflib.get_close_matches(key, keys, n=1)
            hint = f"did you mean {close[0]}?" if close else f"expected {', '.join(keys)}"
            raise ConfigError(f"stage {name} has an unknown key {key}; {hint}")
    if entry.get("ensemble") not in _ALL_ENSEMBLES:
        found = f"ensemble={entry['ensemble']}" if "ensemble" in entry else "no ensemble"
        raise ConfigError(f"stage {name} has {found}; expected one of {', '.join(_ALL_ENSEMBLES)}")
    if kind is Relaxation:
        return Relaxation(name=name, **entry)
    return Stage(name=name, **{**entry, "temperature_K": _read_temperature(name, entry.get("temperature_K"))})


def _read_temperature(name: str, value: Any) -> float | tuple[float, float] | None:
    """A temperature, or a pair of them for a ramp; `Stage` checks the numbers."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        if len(value) != 2:
            raise ConfigError(f"stage {name} has temperature_K={list(value)}; expected T or [from, to]")
        return (value[0], value[1])
    return value
