"""Files that are whole or not there: a kill, or a full disk, leaves none that is half written."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(file: Path) -> Iterator[Path]:
    """Where to write what shall become `file`; it gets its name, in one move, if the block ends well.

    Args:
        file: What is written, or replaced.
    """
    temporary = file.with_name(f"{file.name}.tmp")
    try:
        yield temporary
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
