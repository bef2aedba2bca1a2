"""From the mapping name -> stage of a config to a list of stages."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from md.protocols.ladder import expand_ladder, is_ladder
from md.protocols.relaxation import Relaxation
from md.protocols.stages import ENSEMBLES, RELAX, Stage
from md.protocols.until import Until
from md.protocols.volumes import expand_search, is_search
from mlip.errors import ConfigError
from mlip.inputs import as_names

_ALL_ENSEMBLES = (*ENSEMBLES, RELAX)
_NAMES = ("frozen", "thermostat_groups")


def read_protocol(protocol: Mapping[str, Any]) -> list[Stage]:
    """Make the stages of a protocol; order in the mapping is order in time.

    An entry with `temperatures_K` is a ladder: it stands for one or two stages a temperature. One with
    `volumes` is a search of the volume, which the entry after it starts with.

    Args:
        protocol: Stage name to the keys of `Stage`, as in conf/protocol/*.yaml. Entries that are null are
            left out, so that `protocol.NAME=null` on the command line drops a stage.

    Raises:
        ConfigError: An entry is not a mapping, or has keys or values that no stage has.
    """
    stages: list[Stage] = []
    found = ""
    for name, entry in protocol.items():
        if entry is None:
            continue
        if not isinstance(entry, Mapping):
            raise ConfigError(
                f"found protocol.{name}={entry}; expected a stage, a mapping with ensemble: ..."
            )
        entries = _expand(name, entry)
        if found:  # the first stage after a search starts at what was found
            entries[0] = (entries[0][0], {"volume": found, **entries[0][1]})
        stages.extend(_read_stage(stage_name, keys) for stage_name, keys in entries)
        found = name if is_search(entry) else ""
    if found:
        raise ConfigError(f"found nothing after the search {found}; expected a stage that uses its volume")
    return stages


def _expand(name: str, entry: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The stages that an entry stands for."""
    if is_ladder(entry):
        return list(expand_ladder(name, entry))
    return list(expand_search(name, entry)) if is_search(entry) else [(name, entry)]


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
    read = {
        "temperature_K": _read_temperature(name, entry.get("temperature_K")),
        "until": Until.read(name, entry.get("until")),
        "observe": tuple(as_names(entry.get("observe"))),
    }
    read |= {key: _read_names(name, key, entry[key]) for key in _NAMES if key in entry}
    return kind(name=name, **{**entry, **{key: value for key, value in read.items() if key in keys}})


def _read_names(name: str, key: str, value: Any) -> tuple[str, ...]:
    """Names of groups, or one of them."""
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, Sequence) or not all(isinstance(each, str) for each in names):
        raise ConfigError(f"stage {name} has {key}={value}; expected names of groups, such as [bottom, top]")
    return tuple(names)


def _read_temperature(name: str, value: Any) -> float | tuple[float, float] | None:
    """A temperature, or a pair of them for a ramp; `Stage` checks the numbers."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        if len(value) != 2:
            raise ConfigError(f"stage {name} has temperature_K={list(value)}; expected T or [from, to]")
        return (value[0], value[1])
    return value
