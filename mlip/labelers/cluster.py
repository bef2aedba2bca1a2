"""Workers on a cluster by Parsl: jobs that are queued while frames wait, each with workers on one node."""

import logging
import shlex
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlip.errors import ConfigError

if TYPE_CHECKING:
    from parsl.concurrent import ParslPoolExecutor


@dataclass(frozen=True, kw_only=True)
class LocalCluster:
    """Parsl's workers on this machine: to try what a cluster would do.

    Attributes:
        workers: How many.
    """

    workers: int = 2

    def open(self, cores: int, folder: Path) -> AbstractContextManager["ParslPoolExecutor"]:
        """Start the workers.

        Args:
            cores: Cores of one frame.
            folder: Where Parsl writes its logs.
        """
        require_parsl()
        from parsl.providers import LocalProvider

        provider = LocalProvider(init_blocks=1, max_blocks=1, worker_init=_same_environment())
        return _executor(
            folder,
            provider,
            address="127.0.0.1",
            max_workers_per_node=self.workers,
            cores_per_worker=cores,
        )


@dataclass(frozen=True, kw_only=True)
class SlurmCluster:
    """Jobs of SLURM, one node each.

    Attributes:
        partition: Of the queue.
        account: That pays; None for the user's own.
        jobs: At most so many at once.
        cores_per_node: That a job takes.
        walltime: Of a job, HH:MM:SS; frames in work when it ends are computed again.
        worker_init: Shell lines before the workers start: modules, the environment with Vitreous.
        scheduler_options: Further `#SBATCH` lines.
    """

    partition: str
    account: str | None = None
    jobs: int = 4
    cores_per_node: int = 32
    walltime: str = "04:00:00"
    worker_init: str = ""
    scheduler_options: str = ""

    def open(self, cores: int, folder: Path) -> AbstractContextManager["ParslPoolExecutor"]:
        """Start to queue jobs.

        Args:
            cores: Cores of one frame.
            folder: Where Parsl writes its logs and the scripts of its jobs; workers see it, too.

        Raises:
            ConfigError: A frame takes more cores than a node has.
        """
        require_parsl()
        from parsl.launchers import SimpleLauncher
        from parsl.providers import SlurmProvider

        if cores > self.cores_per_node:
            raise ConfigError(
                f"found labeler.cores={cores}; expected at most cluster.cores_per_node={self.cores_per_node}"
            )
        provider = SlurmProvider(
            partition=self.partition,
            account=self.account,
            nodes_per_block=1,
            cores_per_node=self.cores_per_node,
            exclusive=False,
            init_blocks=0,
            min_blocks=0,
            max_blocks=self.jobs,
            walltime=self.walltime,
            worker_init=f"{_same_environment()}\n{self.worker_init}",
            scheduler_options=self.scheduler_options,
            launcher=SimpleLauncher(),
        )
        return _executor(
            folder, provider, cores_per_worker=cores, max_workers_per_node=self.cores_per_node // cores
        )


def require_parsl() -> None:
    """Look for Parsl.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        import parsl  # noqa: F401
    except ImportError:
        raise ConfigError("found no Parsl; install it: pip install 'vitreous[cluster]'") from None


def _scripts() -> Path:
    """Where the scripts of the environment are, Parsl's among them: it may not be an activated one."""
    return Path(sysconfig.get_path("scripts"))


def _same_environment() -> str:
    """Shell line after which a job finds this environment, on a file system that it shares."""
    return f"export PATH={shlex.quote(str(_scripts()))}:$PATH"


@contextmanager
def _executor(folder: Path, provider: Any, **settings: Any) -> Iterator["ParslPoolExecutor"]:
    from parsl import Config
    from parsl.concurrent import ParslPoolExecutor
    from parsl.executors import HighThroughputExecutor

    logging.getLogger("parsl").setLevel(logging.WARNING)
    config = Config(
        executors=[
            HighThroughputExecutor(
                label="labelers",
                provider=provider,
                interchange_launch_cmd=[sys.executable, str(_scripts() / "interchange.py")],
                **settings,
            )
        ],
        run_dir=str(folder),
        initialize_logging=False,
        strategy="simple",
    )
    executor = ParslPoolExecutor(config)
    try:
        yield executor
    finally:
        executor.shutdown(wait=False)  # after an error or Ctrl-C, not before the last frame of thousands
