"""The frame around every verb: Hydra composes the config, a run directory opens, errors become one line."""

import difflib
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mlip.errors import ConfigError, MlipError
from mlip.help import help_page
from mlip.inputs import as_names, hash_input
from mlip.runs import Run, flatten, open_run

RunVerb = Callable[[DictConfig, Run], None]

_LARGEST_SEED = 2**32 - 1
# Options of Hydra that take the next word as their value.
_CONFIG_DIR = ("--config-dir", "-cd")
_OPTIONS_WITH_VALUE = (*_CONFIG_DIR, "--config-name", "-cn", "--config-path", "-cp", "--cfg", "-c")
# Lines of Hydra's messages that help nobody who only gives a command.
_INTERNALS = ("full_key", "object_type", "reference_type", "Config search path", "See https", "provider=")


def application(
    verb: str,
    run_verb: RunVerb,
    *,
    inputs: Sequence[str] = (),
    mutable: Sequence[str] = (),
    repeats: bool = False,
) -> Callable[[], None]:
    """Make the command line entry of a verb.

    Args:
        verb: Its name; `conf/<verb>.yaml` is its primary config.
        run_verb: What it does, given the resolved config and its run directory.
        inputs: Dotted config keys that name input files (a file, a list of files or null).
        mutable: Dotted config keys that may change when a run is continued.
        repeats: Whether a command does its work again, in the place of what was in its run directory.

    Returns:
        A function that reads `sys.argv` and exits with code 1 and one line on an error a user can mend.
    """
    command: list[str] = []

    def task(config: DictConfig) -> None:
        sys.argv = list(command)  # in a worker of submitit, too
        try:
            _open_and_run(config, run_verb, inputs, mutable, repeats)
        except MlipError as error:
            message = " ".join(f"mlip {verb}: {error}".split())
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                sys.stderr.write(message + "\n")
                raise  # Hydra goes on with the other members of the sweep and raises this at the end
            raise SystemExit(message) from None
        except OSError as error:  # a full disk, a folder that went away; log.txt of the run has the traceback
            raise SystemExit(
                f"mlip {verb}: cannot use {error.filename or 'a file'} ({error.strerror or error}); "
                "free or choose a place that can be written, and give the command again"
            ) from None

    def main() -> None:
        traceback_wanted = "HYDRA_FULL_ERROR" in os.environ
        os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions reach us instead of being printed by Hydra
        try:
            command[:] = [sys.argv[0], *_arrange(sys.argv[1:])]
            sys.argv = list(command)
            if {"-h", "--help"} & set(command):
                sys.stdout.write(help_page(verb, *_overrides_and_folders(command[1:])))
                return
            if any(word.startswith("hydra/launcher=") for word in command):
                # workers start by `python -m`, which would import from here: a user's train.py
                os.environ.setdefault("PYTHONSAFEPATH", "1")
            hydra.main(version_base="1.3", config_path="pkg://mlip.conf", config_name=verb)(task)()
        except MlipError as error:
            raise SystemExit(f"mlip {verb}: a member of the sweep failed: {error}") from None
        except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
            if traceback_wanted:
                raise
            raise SystemExit(
                f"mlip {verb}: {_one_line(verb, error)}; `mlip {verb} --help` shows every key"
            ) from None

    return main


def _arrange(arguments: Sequence[str]) -> list[str]:
    """Put overrides before options, as Hydra wants them, and name members of a sweep by what differs."""
    overrides = [
        word
        for before, word in zip(("", *arguments), arguments, strict=False)
        if "=" in word and not word.startswith("-") and before not in _OPTIONS_WITH_VALUE
    ]
    options = [word for word in arguments if word not in overrides]
    if "--multirun" in options or "-m" in options:
        parsed = OverridesParser.create().parse_overrides(overrides)
        swept = {each.key_or_group for each in parsed if each.is_sweep_override()}
        same = sorted({each.key_or_group for each in parsed} - swept)
        names = ",".join(["run_dir", "resume", *same])
        overrides.append(f"hydra.job.config.override_dirname.exclude_keys=[{names}]")
    return [*overrides, *options]


def _overrides_and_folders(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Overrides, and folders with YAML files of the user (`--config-dir`)."""
    overrides, folders = [], []
    for before, word in zip(("", *arguments), arguments, strict=False):
        option, _, value = word.partition("=")
        if option in _CONFIG_DIR and value:
            folders.append(value)
        elif before in _CONFIG_DIR:
            folders.append(word)
        elif not word.startswith("-") and before not in _OPTIONS_WITH_VALUE:
            overrides.append(word)
    return overrides, folders


def _open_and_run(
    config: DictConfig, run_verb: RunVerb, inputs: Sequence[str], mutable: Sequence[str], repeats: bool
) -> None:
    missing = sorted(OmegaConf.missing_keys(config))
    if missing:
        raise ConfigError(f"found no {missing[0]}; give it on the command line: {missing[0]}=...")
    resolved: dict[str, Any] = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
    if resolved["resume"] not in ("auto", "never"):
        raise ConfigError(f"found resume={resolved['resume']}; expected auto or never")
    seed = resolved["seed"]
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= _LARGEST_SEED:
        raise ConfigError(f"found seed={seed}; expected a whole number from 0 to {_LARGEST_SEED}")
    names = [name for key in inputs for name in as_names(OmegaConf.select(config, key))]
    hashes = {name: hash_input(name) for name in names}
    with open_run(_run_dir(resolved), resolved, hashes, mutable, resolved["resume"], repeats) as run:
        if not run.finished:
            run_verb(config, run)


def _run_dir(config: dict[str, Any]) -> Path:
    """`run_dir`; for a member of a sweep the folder inside it that is named by its overrides."""
    if not isinstance(config["run_dir"], str | int | float):
        raise ConfigError(f"found run_dir={config['run_dir']}; expected the path of a folder")
    hydra_config = HydraConfig.get()
    if hydra_config.mode == RunMode.MULTIRUN:
        return Path(hydra_config.runtime.output_dir)
    return Path(str(config["run_dir"]))


def _one_line(verb: str, error: Exception) -> str:
    """A message of Hydra in one line, without its internals."""
    text = str(error)
    unknown = re.match(r"Could not override '([^']+)'", text)
    if unknown:
        return f"found no setting {unknown[1]}{_closest_key(verb, unknown[1])}"
    lines = [" ".join(line.split()).rstrip(".") for line in text.splitlines() if line.strip()]
    joined = "; ".join(line for line in lines if not line.startswith(_INTERNALS))
    return joined.replace(":;", ":")


def _closest_key(verb: str, key: str) -> str:
    """What a user may have meant by an unknown key, among those of the groups that were chosen."""
    choices = [word for word in sys.argv[1:] if re.match(r"[\w/]+=", word)]
    try:
        with hydra.initialize_config_module("mlip.conf", version_base="1.3"):
            known = list(flatten(OmegaConf.to_container(hydra.compose(verb, choices))))
    except (HydraException, OmegaConfBaseException):
        return ""
    close = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""
