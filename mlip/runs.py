"""A run: its directory, what it was made with, its log, and whether it may be continued.

Every verb writes into one `run_dir` and leaves `config.yaml` (resolved), `provenance.json` (versions, host,
hashes of inputs, state) and `log.txt` there. The same command again continues an unfinished run.
"""

import fcntl
import logging
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from omegaconf import OmegaConf
from tqdm import tqdm

from mlip.errors import ConfigError, MlipError
from mlip.provenance import FILE_NAME, make_provenance, read_provenance, write_provenance

logger = logging.getLogger(__name__)

# What a run leaves before it has any result; only with more than these in it is a directory taken.
_NO_RESULTS = {"config.yaml", FILE_NAME, f"{FILE_NAME}.tmp", "log.txt", "cache"}
# Keys that say where a run is, not what it is.
_WHERE = ("run_dir", "resume")
OUR_PACKAGES = ("mlip", "train", "md")


@dataclass(frozen=True)
class Run:
    """One run directory, opened for this process.

    Attributes:
        path: The directory.
        resumed: An unfinished earlier session is here: go on from its checkpoints.
        finished: A finished run of the same command is here: nothing is left to do.
    """

    path: Path
    resumed: bool
    finished: bool


@contextmanager
def open_run(
    run_dir: Path,
    config: dict[str, Any],
    input_hashes: Mapping[str, str],
    mutable: Sequence[str] = (),
    resume: str = "auto",
    repeats: bool = False,
) -> Iterator[Run]:
    """Open a run directory, write its config and provenance, and log into it while the block runs.

    Args:
        run_dir: Where the run lives; made if missing.
        config: The resolved configuration.
        input_hashes: SHA-256 of each input file.
        mutable: Dotted keys that may differ from the earlier session's.
        resume: `auto` continues an unfinished run; `never` starts a numbered sibling.
        repeats: Nothing is continued: a run takes the place of an earlier one.

    Raises:
        ConfigError: The directory cannot be written, is in use, or holds a run of something else.
    """
    path = _free_sibling(run_dir) if resume == "never" else run_dir
    earlier = None if repeats else read_provenance(path)
    if earlier is not None and (earlier["state"] == "finished" or _has_results(path)):
        _refuse_other_run(path, earlier, config, input_hashes, mutable)
    finished = (
        earlier is not None
        and earlier["state"] == "finished"
        and not _different_keys(earlier["config"], config, _WHERE)
    )
    with _locked_log(path) as log_stream, _logging_to(log_stream):
        if finished:
            logger.info("%s holds the finished run of this command; resume=never starts another", path)
            yield Run(path, resumed=True, finished=True)
            return
        OmegaConf.save(OmegaConf.create(config), path / "config.yaml")
        record = make_provenance(config, dict(input_hashes), earlier)
        write_provenance(path, record)
        logger.info("%s %s", "continuing" if earlier else "run directory", path)
        try:
            yield Run(path, resumed=earlier is not None, finished=False)
        except MlipError as error:
            _log_to_file_only(log_stream, f"stopped: {error}")
            raise
        except KeyboardInterrupt:
            logger.warning("interrupted; the same command goes on from here")
            raise
        except Exception:
            logging.getLogger().exception("stopped by an unexpected error")
            raise
        write_provenance(path, record | {"state": "finished"})


def _free_sibling(run_dir: Path) -> Path:
    """`run_dir`, or the first of run_dir-2, run_dir-3, ... without a run in it."""
    path, number = run_dir, 1
    while (path / FILE_NAME).exists():
        number += 1
        path = run_dir.with_name(f"{run_dir.name}-{number}")
    return path


def _has_results(path: Path) -> bool:
    """Whether a run got further than reading its input: a mended command may then not take its place."""
    return any(entry.name not in _NO_RESULTS for entry in path.iterdir())


def _refuse_other_run(
    path: Path,
    earlier: Mapping[str, Any],
    config: dict[str, Any],
    input_hashes: Mapping[str, str],
    mutable: Sequence[str],
) -> None:
    """Raise if the run in `path` was made with another config or other inputs."""
    different = _different_keys(earlier["config"], config, (*_WHERE, *mutable))
    if different:
        key = different[0]
        found, asked = flatten(earlier["config"]).get(key), flatten(config).get(key)
        raise ConfigError(
            f"{path} holds a run with {key}={found}, this command asks {key}={asked}; choose another "
            "run_dir=, or resume=never for a numbered sibling"
        )
    for name, digest in input_hashes.items():
        if earlier["inputs"].get(name) != digest:
            raise ConfigError(
                f"{path} holds a run on another content of {name}; choose another run_dir=, or resume=never"
            )


def _different_keys(one: dict[str, Any], other: dict[str, Any], free: Sequence[str]) -> list[str]:
    """Dotted keys whose values differ, but for those that are free to."""
    a, b = flatten(one), flatten(other)
    return [
        key
        for key in sorted(a.keys() | b.keys())
        if a.get(key) != b.get(key) and not any(key == name or key.startswith(f"{name}.") for name in free)
    ]


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, of dotted keys."""
    if not isinstance(tree, Mapping):
        return {prefix: tree}
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return flat


@contextmanager
def _locked_log(path: Path) -> Iterator[IO[str]]:
    """The run's log, opened to append and locked against a second process."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        stream = (path / "log.txt").open("a")
    except OSError as error:
        raise ConfigError(
            f"cannot write into run_dir {path} ({error.strerror}); choose another run_dir="
        ) from None
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"another process is running in {path}; wait for it or choose another run_dir="
            ) from None
        yield stream


def is_running(path: Path) -> bool:
    """Whether a process holds the lock of a run directory; nothing is written."""
    log = path / "log.txt"
    if not log.exists():
        return False
    with log.open() as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


class _ConsoleHandler(logging.Handler):
    """Our own messages on the terminal, above any progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(BrokenPipeError):
            tqdm.write(self.format(record), file=sys.stderr)


@contextmanager
def _logging_to(stream: IO[str]) -> Iterator[None]:
    """Our messages to the terminal and the log; those of other libraries, and warnings, to the log only."""
    root = logging.getLogger()
    to_file = logging.StreamHandler(stream)
    to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    to_console = _ConsoleHandler()
    to_console.setFormatter(logging.Formatter("%(message)s"))
    ours = [logging.getLogger(name) for name in OUR_PACKAGES]
    level = root.level
    root.setLevel(logging.INFO)
    root.addHandler(to_file)
    for each in ours:
        each.addHandler(to_console)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        root.removeHandler(to_file)
        root.setLevel(level)
        for each in ours:
            each.removeHandler(to_console)


def _log_to_file_only(stream: IO[str], message: str) -> None:
    stream.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} ERROR   {message}\n")
