import hashlib
import re

import pytest

from mlip.inputs import datasets_folder

ROW = re.compile(r"^\| (\S+) \| (\d+) \| ([0-9a-f]{64}) \|$", re.MULTILINE)
FOLDER = datasets_folder()
SHIPPED = sorted(FOLDER.glob("*/*.extxyz*"))


def rows(folder):
    return {
        name: (int(frames), digest) for name, frames, digest in ROW.findall((folder / "card.md").read_text())
    }


def test_there_are_data_sets():
    assert {path.parent.name for path in SHIPPED} >= {"lips", "li_metal"}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_file_is_what_its_card_says(path):
    from mlip.data.read import read_frames

    frames, digest = rows(path.parent)[path.name]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
    assert len(read_frames(path)) == frames


@pytest.mark.parametrize("card", sorted(FOLDER.glob("*/card.md")), ids=lambda path: path.parent.name)
def test_every_card_says_source_and_licence_and_lists_no_missing_file(card):
    text = card.read_text()
    assert "| Source |" in text
    assert "| Licence |" in text
    assert all((card.parent / name).is_file() for name in rows(card.parent))
