"""ASE databases that several processes use at once: SQLite in a file, PostgreSQL by URL.

Writers queue by a lock that ends with its process. ASE's own lock file outlives a process that was killed,
two processes that make the tables of one file stop each other, and the PostgreSQL backend takes the number of
anybody's last row for its own (`SELECT last_value`).
"""

import fcntl
import hashlib
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from ase.db import connect
from ase.db.core import Database

from mlip.errors import DataError

_URL = ("postgresql://", "postgres://")
# Of PostgreSQL's advisory lock: a number that no other program is likely to use.
_LOCK_NUMBER = 0x76697472
_PASSWORD = re.compile(r"(//[^:/@]+):[^@/]*@")


def is_database(place: str) -> bool:
    """Whether a name is that of a database: a file that ends in .db, or a URL."""
    return is_url(place) or place.endswith(".db")


def is_url(place: str) -> bool:
    """Whether a name is the URL of a PostgreSQL database."""
    return place.startswith(_URL)


def split_selection(name: str) -> tuple[str, str]:
    """Part `labels.db@labeler=xtb` into the place of a database and which of its rows are meant.

    Args:
        name: Any file name or URL; only what names a database has a selection.

    Returns:
        Place and selection; the latter is empty where there is none.
    """
    place, found, selection = name.rpartition("@")
    named = (
        place.count("/") > 2 if is_url(place) else place.endswith(".db")
    )  # user@host/name has no selection
    if found and named:
        return place, selection
    return name, ""


def open_database(place: str, create: bool = False) -> Database:
    """Connect to a database whose tables are there.

    Args:
        place: A file that ends in .db, or a URL.
        create: Whether it is made if it is not there.

    Raises:
        DataError: It is not there, no database, or its backend is not installed.
    """
    path = Path(place).expanduser()
    if not is_database(place):
        raise DataError(
            f"found the store {place}; expected a file that ends in .db, or postgresql://HOST/NAME"
        )
    if not is_url(place) and not create and not path.is_file():
        raise DataError(f"found no store {path}; expected one, looking from {Path.cwd()}: check the path")
    with explained(place):
        if create:
            with writing_alone(place):
                _make_tables(place)
        database = connect(place, use_lock_file=False)
        database.count()  # whether it is one
    return database


def _make_tables(place: str) -> None:
    """Make the tables if they are not there. A file gets its name with them in it: others may be reading."""
    file = Path(place).expanduser()
    if is_url(place):
        connect(place).count()  # in one transaction
    elif not file.is_file():
        unfinished = file.with_name(f"{file.stem}-unfinished.db")
        unfinished.unlink(missing_ok=True)  # of a process that was killed
        connect(unfinished, use_lock_file=False).count()
        unfinished.rename(file)


def hash_rows(place: str) -> str:
    """SHA-256 of which rows a database holds, and of when each was written."""
    database = open_database(place)
    with explained(place):
        rows = database.select(columns=["id", "unique_id", "mtime"], include_data=False, sort="id")
        lines = [f"{row.unique_id} {row.mtime!r}" for row in rows]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@contextmanager
def writing_alone(place: str) -> Iterator[None]:
    """Keep other writers of a database out until the block ends, or this process does."""
    if is_url(place):
        import psycopg2

        with closing(psycopg2.connect(place)) as session:
            session.cursor().execute("SELECT pg_advisory_lock(%s)", (_LOCK_NUMBER,))
            yield
    else:
        with Path(f"{place}-lock").expanduser().open("a") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield


@contextmanager
def explained(place: str) -> Iterator[None]:
    """Turn what databases raise into one line.

    Raises:
        DataError: The database cannot be reached, read or written, or its backend is not installed.
    """
    try:
        yield
    except ImportError as error:
        raise DataError(f"{_shown(place)} needs {error.name}: pip install 'vitreous[postgresql]'") from None
    except (sqlite3.Error, OSError, *_postgresql_errors(place)) as error:
        # Where PostgreSQL fails within a block, ASE's backend fails again for want of `rollback`.
        first = error.__context__ if isinstance(error, AttributeError) and error.__context__ else error
        reason = " ".join(str(first).split()) or type(first).__name__
        raise DataError(
            f"{_shown(place)} cannot be used ({reason[:200]}); expected a database that is there and can be "
            "reached, read and written"
        ) from error


def _postgresql_errors(place: str) -> tuple[Any, ...]:
    if not is_url(place):
        return ()
    import psycopg2

    return (psycopg2.Error, AttributeError)


def _shown(place: str) -> str:
    """A place without its password."""
    return _PASSWORD.sub(r"\1:***@", place)
