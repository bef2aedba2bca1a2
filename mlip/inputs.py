"""Files that a user names: where they are and what is in them."""

import hashlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from mlip.database import hash_rows, is_url, split_selection
from mlip.errors import DataError

SHIPPED_PREFIX = "dataset:"


def resolve_input(name: str | Path) -> Path:
    """Find an input file; `dataset:NAME/FILE` is a sample that ships with Vitreous.

    Args:
        name: A path, or `dataset:` followed by a path inside the `datasets/` folder.

    Returns:
        An existing file.

    Raises:
        DataError: Nothing or a folder is there.
    """
    text = str(name)
    if text.startswith(SHIPPED_PREFIX):
        root = datasets_folder()
        path = root / text.removeprefix(SHIPPED_PREFIX)
        if not path.is_file():
            shipped = sorted(str(p.relative_to(root)) for p in root.glob("*/*.extxyz*"))
            raise DataError(f"found no shipped file {text}; expected one of {', '.join(shipped)}")
        return path
    path = Path(text).expanduser()
    if not path.exists():
        raise DataError(f"found no file {path}; expected one, looking from {Path.cwd()}: check the path")
    if path.is_dir():
        raise DataError(f"found the folder {path}; expected a file: name one in it")
    return path


def datasets_folder() -> Path:
    """The folder of the shipped data sets: inside the installed package, or beside it in a checkout.

    Raises:
        DataError: The installation is incomplete.
    """
    package = Path(str(resources.files("mlip")))
    for folder in (package / "datasets", package.parent / "datasets"):
        if folder.is_dir():
            return folder
    raise DataError(
        f"found no datasets/ beside {package}; the installation is incomplete: install vitreous again"
    )


def hash_input(name: str) -> str:
    """SHA-256 of what an input holds: a file's bytes, the rows of a database that is named by URL.

    Raises:
        DataError: There is nothing of this name.
    """
    place = split_selection(name)[0]
    return hash_rows(place) if is_url(place) else sha256(resolve_input(place))


def as_names(value: str | Path | Sequence[str | Path] | None) -> list[str]:
    """One file name, a list of them or None, as a list."""
    if value is None:
        return []
    if isinstance(value, str | Path):
        return [str(value)]
    return [str(v) for v in value]


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
