"""Processes of this machine that label frames, one at a time each; the death of one costs its frame alone."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from mlip.errors import MlipError, SimulationError

_SPAWN = multiprocessing.get_context("spawn")


class ProcessDeathError(SimulationError):
    """A worker ended while it computed: killed, out of memory, or by a crash of the program."""


class ProcessWorkers:
    """A pool of processes, each started for its first frame and anew after a crash.

    `concurrent.futures.ProcessPoolExecutor` loses all frames when one process dies, and leaves its processes
    behind when this one is killed.
    """

    def __init__(self, count: int) -> None:
        """Make room for some processes.

        Args:
            count: How many work at once.
        """
        self._threads = ThreadPoolExecutor(count)
        self._of_thread = threading.local()
        self._processes: list[_Worker] = []

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Queue a call.

        Args:
            function: Of a module that the process can import.
            arguments: What it is given; they are pickled.

        Returns:
            Its result; `ProcessDeathError` if the process died.
        """
        return self._threads.submit(self._call, function, arguments)

    def __enter__(self) -> "ProcessWorkers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drop what waits and end the processes with all that they started."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._processes:
            worker.end()
        self._threads.shutdown(wait=True)

    def _call(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        worker: _Worker | None = getattr(self._of_thread, "worker", None)
        if worker is None:
            worker = self._of_thread.worker = _Worker()
            self._processes.append(worker)
        try:
            return worker.call(function, arguments)
        except (EOFError, ConnectionError):
            self._of_thread.worker = None
            raise ProcessDeathError(f"the process that computed it died ({worker.cause()})") from None


class _Worker:
    """One process and the pipe to it."""

    def __init__(self) -> None:
        self._pipe, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_serve, args=(theirs,), daemon=False)
        self._process.start()
        theirs.close()  # so that the end of the process ends the pipe

    def call(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        self._pipe.send((function, arguments))
        result, error = self._pipe.recv()
        if error is not None:
            raise error
        return result

    def cause(self) -> str:
        """How the process ended."""
        self._process.join()
        code = self._process.exitcode or 0
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"

    def end(self) -> None:
        """Kill the process and its group: programs that it started, too."""
        with suppress(ProcessLookupError):  # it has ended by itself, or is not yet its own group's leader
            os.killpg(self._process.pid or 0, signal.SIGKILL)
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _serve(pipe: Connection) -> None:
    """What a worker does: one call after the other, until the process that started it ends."""
    os.setsid()  # Ctrl-C is for the parent; and a group that can be ended as one
    threading.Thread(target=_die_with_parent, daemon=True).start()
    while True:
        try:
            function, arguments = pipe.recv()
        except EOFError:
            return
        try:
            answer: tuple[Any, MlipError | None] = (function(*arguments), None)
        except MlipError as error:
            answer = (None, error)
        pipe.send(answer)


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os.killpg(os.getpgrp(), signal.SIGKILL)
