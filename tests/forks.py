"""Processes forked from a server that has imported every verb already: tenths of a second instead of five.

Python keeps one such server in a process, so what it imports is said here for all tests.
"""

import multiprocessing

from mlip.cli import VERBS

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["mlip.cli", *(module for module, _ in VERBS.values())])
