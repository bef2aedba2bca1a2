"""A PostgreSQL server of Debian's packages that lives as long as a block, on a socket in its own folder."""

import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

_USER = "postgres"


def programs():
    """The folder of `initdb` and `postgres`, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


@contextmanager
def running_server():
    """Start a server; yield a function from the name of a new database to its URL. Skips without a server."""
    psycopg2 = pytest.importorskip("psycopg2", reason="psycopg2 is not installed")
    folder = programs()
    if folder is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    if os.getuid() == 0 and not shutil.which("runuser"):
        pytest.skip("PostgreSQL does not run as root, and there is no runuser")
    home = Path(tempfile.mkdtemp(prefix="pg"))
    as_user = ["runuser", "-u", _USER, "--"] if os.getuid() == 0 else []
    if as_user:
        shutil.chown(home, _USER)
    start = [*as_user, folder / "initdb", "-D", home / "data", "-A", "trust", "-U", _USER, "--no-sync"]
    subprocess.run(start, check=True, capture_output=True, timeout=120)
    options = ["-k", home, "-c", "listen_addresses=", "-c", "fsync=off"]
    with (home / "log").open("w") as log:
        server = subprocess.Popen(
            [*as_user, folder / "postgres", "-D", home / "data", *options], stdout=log, stderr=log
        )

    def create(name):
        session = psycopg2.connect(host=str(home), user=_USER, dbname=_USER)
        session.autocommit = True
        session.cursor().execute(f"CREATE DATABASE {name}")
        session.close()
        return f"postgresql://{_USER}@/{name}?host={home}"

    try:
        _wait(lambda: psycopg2.connect(host=str(home), user=_USER, dbname=_USER).close(), psycopg2.Error)
        yield create
    finally:
        server.terminate()
        server.wait(timeout=60)
        shutil.rmtree(home)


def _wait(connect, error):
    deadline = time.monotonic() + 60
    while True:
        try:
            return connect()
        except error:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
