"""Processes that label: one that dies costs its frame alone."""

import os
import signal
import time
from pathlib import Path

import pytest

from mlip.errors import ConfigError
from mlip.labelers.workers import ProcessDeathError, ProcessWorkers


def double(number):
    return 2 * number


def end_self():
    os.kill(os.getpid(), signal.SIGKILL)


def refuse():
    raise ConfigError("no program")


def start_child(pid_file):
    child = os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "100")
    pid_file.write_text(f"{child}")
    time.sleep(100)


def is_alive(pid):
    """Whether a process runs; one that nobody waited for does not."""
    try:
        with Path(f"/proc/{pid}/stat").open() as stream:
            return stream.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_death_of_a_process_costs_one_call():
    with ProcessWorkers(1) as workers:
        before, killed, refused, after = (
            workers.submit(double, 1),
            workers.submit(end_self),
            workers.submit(refuse),
            workers.submit(double, 2),
        )
        assert before.result(timeout=60) == 2
        with pytest.raises(ProcessDeathError, match="SIGKILL"):
            killed.result(timeout=60)
        with pytest.raises(ConfigError, match="no program"):
            refused.result(timeout=60)
        assert after.result(timeout=60) == 4


def test_what_a_worker_started_ends_with_it(tmp_path):
    pid_file = tmp_path / "pid"
    with ProcessWorkers(1) as workers:
        workers.submit(start_child, pid_file)
        end = time.monotonic() + 60
        while not (pid_file.exists() and pid_file.read_text()) and time.monotonic() < end:
            time.sleep(0.02)
        child = int(pid_file.read_text())
        assert is_alive(child)
    end = time.monotonic() + 10
    while is_alive(child) and time.monotonic() < end:
        time.sleep(0.02)
    assert not is_alive(child)
