"""When a ladder of temperatures has come to its end: on a rung where no ion hops any more."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlip.errors import ConfigError

_KEYS = {"species", "moved_A"}


@dataclass(frozen=True)
class Until:
    """The protocol ends with a stage in which no ion of a species came far from where it began.

    Attributes:
        species: Symbol, such as Li.
        moved_A: An ion that was further from its start in any stored frame has hopped.
    """

    species: str
    moved_A: float

    @classmethod
    def read(cls, name: str, value: Any) -> "Until | None":
        """Read `until` of a stage; None is none.

        Raises:
            ConfigError: It is not {species: ..., moved_A: ...}.
        """
        if value is None:
            return None
        number = value.get("moved_A") if isinstance(value, Mapping) and set(value) == _KEYS else None
        if isinstance(number, bool) or not isinstance(number, int | float) or not number > 0:
            raise ConfigError(
                f"stage {name} has until={value}; expected {{species: Li, moved_A: 2.0}} or null"
            )
        return cls(str(value["species"]), float(number))
