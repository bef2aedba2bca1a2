"""Data sets that come with Vitreous, found from a checkout as from an installed wheel."""

import importlib.resources
from pathlib import Path

from mlip.errors import DataError

PREFIX = "dataset:"


def shipped(name: str) -> Path:
    """Find a file of a shipped data set.

    Args:
        name: Folder and file, e.g. `lips/train_700.extxyz.xz`.

    Returns:
        The path of the file.

    Raises:
        DataError: There is no such file.
    """
    root = datasets_folder()
    path = root / name
    if not path.is_file():
        files = sorted(str(file.relative_to(root)) for file in root.glob("*/*.extxyz*"))
        raise DataError(f"No shipped data set {name!r}; there are: {', '.join(files)}.")
    return path


def datasets_folder() -> Path:
    """Find the folder of the shipped data sets: inside the installed package, or beside it in a checkout."""
    package = Path(str(importlib.resources.files("mlip")))
    folders = [folder for folder in (package / "datasets", package.parent / "datasets") if folder.is_dir()]
    if not folders:
        raise DataError(
            f"No data sets beside {package}; the installation is incomplete: install Vitreous again."
        )
    return folders[0]


def resolve(path: str | Path) -> Path:
    """Turn a path, or the name of a shipped file behind `dataset:`, into a path.

    Args:
        path: A file, or e.g. `dataset:lips/train_700.extxyz.xz`.

    Returns:
        The path; whether an ordinary file exists is left to its reader.

    Raises:
        DataError: There is no shipped file of that name.
    """
    name = str(path)
    return shipped(name.removeprefix(PREFIX)) if name.startswith(PREFIX) else Path(path)
