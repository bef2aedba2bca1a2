"""Processes that inherited a mark in their environment: all that a command started, whoever adopted them."""

import os
import time
from pathlib import Path

MARK = "VITREOUS_TEST_MARK"


def environment_of(mark):
    return os.environ | {"OMP_NUM_THREADS": "1", MARK: mark}


def marked_processes(mark, command=""):
    """Numbers of living processes with this mark whose command line holds a word."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            is_marked = f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0")
            words, state = (
                (folder / "cmdline").read_text(),
                (folder / "stat").read_text().rsplit(")")[-1].split()[0],
            )
        except OSError:  # ended meanwhile, or another user's
            continue
        if is_marked and command in words and state != "Z":
            found.append(int(folder.name))
    return found


def wait_until(condition, seconds=60.0):
    """Poll a condition; returns its first true value, or its last one."""
    deadline = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return value
