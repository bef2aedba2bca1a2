"""The frame around every verb: Hydra composes the config, a run directory opens, errors become one line."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mlip.errors import ConfigError, MlipError
from mlip.inputs import as_names, resolve_input, sha256
from mlip.runs import Run, open_run

RunVerb = Callable[[DictConfig, Run], None]


def application(
    verb: str, run_verb: RunVerb, *, inputs: Sequence[str] = (), mutable: Sequence[str] = ()
) -> Callable[[], None]:
    """Make the command line entry of a verb.

    Args:
        verb: Its name; `conf/<verb>.yaml` is its primary config.
        run_verb: What it does, given the resolved config and its run directory.
        inputs: Dotted config keys that name input files (a file, a list of files or null).
        mutable: Dotted config keys that may change when a run is continued.

    Returns:
        A function that reads `sys.argv` and exits with code 1 and one line on an error a user can mend.
    """

    def task(config: DictConfig) -> None:
        try:
            _open_and_run(config, run_verb, inputs, mutable)
        except MlipError as error:
            raise SystemExit(f"mlip {verb}: {error}") from None

    def main() -> None:
        traceback_wanted = "HYDRA_FULL_ERROR" in os.environ
        os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions reach us instead of being printed by Hydra
        try:
            hydra.main(version_base="1.3", config_path="pkg://mlip.conf", config_name=verb)(task)()
        except (HydraException, OmegaConfBaseException) as error:
            if traceback_wanted:
                raise
            raise SystemExit(
                f"mlip {verb}: {_one_line(error)}; `mlip {verb} --help` shows every key"
            ) from None

    return main


def build_from_config(config: DictConfig) -> Any:
    """Make the object that a config group's `_target_` names.

    Raises:
        ConfigError: A key or a value that the object refuses, in its own words where it has some.
    """
    try:
        return instantiate(config, _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, MlipError):
            raise error.__cause__ from None
        raise ConfigError(f"cannot use the settings {config} ({error.__cause__ or error})") from None


def _open_and_run(
    config: DictConfig, run_verb: RunVerb, inputs: Sequence[str], mutable: Sequence[str]
) -> None:
    resolved: dict[str, Any] = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
    if resolved["resume"] not in ("auto", "never"):
        raise ConfigError(f"found resume={resolved['resume']}; expected auto or never")
    names = [name for key in inputs for name in as_names(OmegaConf.select(config, key))]
    hashes = {name: sha256(resolve_input(name)) for name in names}
    with open_run(_run_dir(resolved), resolved, hashes, mutable, resolved["resume"]) as run:
        if not run.finished:
            run_verb(config, run)


def _run_dir(config: dict[str, Any]) -> Path:
    """`run_dir`; for a member of a sweep the folder inside it that is named by its overrides."""
    hydra_config = HydraConfig.get()
    if hydra_config.mode == RunMode.MULTIRUN:
        return Path(hydra_config.runtime.output_dir)
    return Path(config["run_dir"])


def _one_line(error: Exception) -> str:
    """The first sentences of a Hydra message, without its internals."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    internals = (
        "full_key",
        "object_type",
        "reference_type",
        "To append",
        "Available options",
        "Config search path",
    )
    return " ".join(line for line in lines[:3] if not line.startswith(internals))
