"""What one check of the preflight found."""

from collections.abc import Iterable
from dataclasses import dataclass

_SHOWN = 5


@dataclass(frozen=True)
class Finding:
    """Rows of the preflight table, and what they mean for training.

    Attributes:
        rows: Name and value of each row.
        warnings: What a person should look at.
        errors: What would train garbage.
    """

    rows: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()


def list_frames(indices: Iterable[int]) -> str:
    """Name frames in a message: the first few, and how many there are.

    Args:
        indices: Frame numbers.

    Returns:
        E.g. `3 frames (0, 4, 17)`.
    """
    numbers = [int(index) for index in indices]
    shown = ", ".join(str(number) for number in numbers[:_SHOWN])
    dots = ", ..." if len(numbers) > _SHOWN else ""
    return f"{len(numbers)} frame{'s' if len(numbers) != 1 else ''} ({shown}{dots})"
