"""From a part of the config to the frozen dataclass that owns its types, defaults and checks."""

import difflib
import inspect
import math
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf

from mlip.errors import ConfigError, MlipError

T = TypeVar("T")

_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    types.NoneType: "null",
}


def build_group(config: DictConfig, group: str) -> Any:
    """Make the object that the `_target_` of a config group names.

    Args:
        config: The whole config.
        group: Key of the group, such as `model`.

    Raises:
        ConfigError: A key or a value that the object refuses, in its own words where it has some.
    """
    chosen: dict[str, Any] = OmegaConf.to_container(config[group], resolve=True)  # type: ignore[assignment]
    target = chosen.pop("_target_", None)
    if target is None:
        raise ConfigError(f"found {group} without _target_; expected the class that it sets up")
    try:
        kind = get_object(target)
        if is_dataclass(kind):
            return build_settings(kind, chosen, group)  # type: ignore[arg-type]
        return instantiate(config[group], _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, MlipError):
            raise error.__cause__ from None
        raise ConfigError(f"cannot use the settings of {group}: {error.__cause__ or error}") from None
    except (ImportError, ValueError) as error:
        raise ConfigError(
            f"found {group}._target_={target}; expected an importable class ({error})"
        ) from None


def build_settings(kind: type[T], values: Mapping[str, Any], group: str) -> T:
    """Make a frozen dataclass from the keys of a config group.

    Args:
        kind: The dataclass.
        values: Key to value.
        group: Key of the group, for messages; empty if the keys stand at the top.

    Raises:
        ConfigError: A key is unknown or missing, a value has the wrong type, or the class refuses it.
    """
    types_of = get_type_hints(kind)
    prefix = f"{group}." if group else ""
    _check_types(values, types_of, prefix)
    for field in fields(kind):  # type: ignore[arg-type]
        if field.name not in values and field.default is MISSING and field.default_factory is MISSING:
            raise ConfigError(f"found no {prefix}{field.name}; expected {_describe(types_of[field.name])}")
    return kind(**values)


def check_options(function: Callable[..., Any], values: Mapping[str, Any], group: str) -> None:
    """Check the keys of a config group that become keyword arguments of a function.

    Args:
        function: Its keyword-only arguments are the keys, but for `seed`, which is no option.
        values: Key to value.
        group: Key of the group, for messages.

    Raises:
        ConfigError: A key is unknown or missing, or a value has the wrong type.
    """
    hints = get_type_hints(function)
    keywords = {
        name: parameter
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name != "seed"
    }
    _check_types(values, {name: hints[name] for name in keywords}, f"{group}.")
    for name, parameter in keywords.items():
        if parameter.default is parameter.empty and name not in values:
            raise ConfigError(f"found no {group}.{name}; expected {_describe(hints[name])}")


def _check_types(values: Mapping[str, Any], types_of: Mapping[str, Any], prefix: str) -> None:
    for key, value in values.items():
        if key not in types_of:
            raise ConfigError(f"found {prefix}{key}; {suggest(key, tuple(types_of))}")
        if not _fits(value, types_of[key]):
            shown = "null" if value is None else value
            raise ConfigError(f"found {prefix}{key}={shown}; expected {_describe(types_of[key])}")


def suggest(name: str, known: Sequence[str]) -> str:
    """The end of a message about an unknown name: the closest known one, or all of them."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else f"expected one of {', '.join(known)}"


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value from YAML has the type of a field; a whole number is a number, true is none."""
    if hint is Any:
        return True
    if get_origin(hint) in (Union, types.UnionType):
        return any(_fits(value, option) for option in get_args(hint))
    if get_origin(hint) in (list, Sequence):
        return isinstance(value, list | tuple) and all(_fits(each, get_args(hint)[0]) for each in value)
    if get_origin(hint) in (dict, Mapping):
        key, content = get_args(hint)
        return isinstance(value, Mapping) and all(
            _fits(k, key) and _fits(v, content) for k, v in value.items()
        )
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _describe(hint: Any) -> str:
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_describe(option) for option in get_args(hint))
    if get_origin(hint) in (dict, Mapping):
        return f"a mapping to {_describe(get_args(hint)[1])}"
    if get_origin(hint) in (list, Sequence):
        return f"a list, each {_describe(get_args(hint)[0])}"
    return _WORDS.get(hint, str(hint))
