"""The store: labelled frames in an ASE database, each with where it came from and what was paid for it.

SQLite in a file that ends in .db, or PostgreSQL by URL (`postgresql://user@host/name`). Several processes may
read and add at once.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from ase import Atoms
from ase.db.row import AtomsRow

from mlip.data.entry import FAILED, LABELLED, Entry, atoms_from_row, entry_from_row, row_content
from mlip.database import explained, open_database, writing_alone
from mlip.errors import DataError


class Store:
    """Labelled and failed frames in one database."""

    def __init__(self, place: str, create: bool = False) -> None:
        """Open a store.

        Args:
            place: A file that ends in .db, or the URL of a PostgreSQL database.
            create: Whether it is made if it is not there.

        Raises:
            DataError: It is not there, or cannot be opened.
        """
        self.place = place
        self._database: Any = open_database(place, create)

    def add(self, entries: Iterable[Entry]) -> int:
        """Add frames; what is there already, by fingerprint and settings, stays as it is.

        A frame that had failed and is labelled now takes the place of its failure.

        Args:
            entries: Frames with provenance.

        Returns:
            How many were written.

        Raises:
            DataError: A frame has what the database cannot hold; none of these frames is written then.
        """
        prepared = [(entry, *row_content(entry)) for entry in entries]
        written = 0
        with explained(self.place), writing_alone(self.place), self._database:
            for entry, atoms, keys, rest in prepared:
                found = self._row(entry.fingerprint, entry.provenance.settings_hash)
                if found is not None and (found.get("state") == LABELLED or entry.failure is not None):
                    continue
                self._database.write(atoms, keys, data=rest, id=None if found is None else found.id)
                written += 1
        return written

    def find(self, fingerprint: str, settings_hash: str) -> Entry | None:
        """Find the frame of a structure that was labelled, or failed, with these settings; None if none.

        Its atoms may be in another order or orientation than those that the fingerprint was made of.

        Args:
            fingerprint: Of `mlip.data.fingerprint`.
            settings_hash: Of `Provenance`.
        """
        with explained(self.place):
            row = self._row(fingerprint, settings_hash)
        return None if row is None else entry_from_row(row)

    def known(self, settings_hash: str) -> dict[str, bool]:
        """All that is paid for with these settings: fingerprint -> whether it is labelled, or failed."""
        rows = self._select("", settings=settings_hash, columns=["id", "key_value_pairs"], include_data=False)
        return {row.get("fingerprint"): row.get("state") == LABELLED for row in rows}

    def entries(self, selection: str = "") -> Iterator[Entry]:
        """Frames with provenance, failed ones among them, in the order in which they were added.

        Args:
            selection: In ASE's words, such as `labeler=xtb,generation<2,config_type!=slab,Li>4`.

        Raises:
            DataError: The selection cannot be read.
        """
        return map(entry_from_row, self._select(selection))

    def read(self, selection: str = "") -> list[Atoms]:
        """Frames to train on: those with labels, their provenance in `info`.

        Args:
            selection: As of `entries`.

        Raises:
            DataError: The selection cannot be read.
        """
        return [atoms_from_row(row) for row in self._select(selection) if row.get("state") != FAILED]

    def _row(self, fingerprint: str, settings_hash: str) -> AtomsRow | None:
        rows = self._database.select(fingerprint=fingerprint, settings=settings_hash, limit=1)
        return next(iter(rows), None)

    def _select(self, selection: str, **options: Any) -> list[AtomsRow]:
        try:
            with explained(self.place):
                return list(self._database.select(selection, sort="id", **options))
        except ValueError as error:
            raise DataError(
                f"found the selection '{selection}' ({error}); expected ASE's words, such as "
                "labeler=xtb,generation<2,config_type!=slab"
            ) from None
