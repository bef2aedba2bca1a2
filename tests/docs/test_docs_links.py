"""Links and pictures of the documents lead somewhere."""

import re
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("datasets/**/*.md")]
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE_PATH = re.compile(r"`((?:mlip|train|md|conf|datasets|tests|docs)/[\w/.]*)`")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_relative_links_exist(document):
    targets = [target.partition("#")[0] for target in LINK.findall(document.read_text())]
    local = [target for target in targets if target and "://" not in target]
    assert [target for target in local if not (document.parent / target).exists()] == []


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/models.md"])
def test_files_named_exist(name):
    """What is called NAME is to be made by the reader."""
    paths = [path for path in CODE_PATH.findall((ROOT / name).read_text()) if "NAME" not in path]
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_map_is_whole():
    text = (ROOT / "docs" / "images" / "architecture.svg").read_text()
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    for path in re.findall(r">((?:mlip|md)/[^<]+)<", text):
        folder, *more = path.split()
        parts = [folder, *(part if "/" in part else str(Path(folder).parent / part) for part in more)]
        assert [part for part in parts if not (ROOT / part).exists()] == []


def test_the_layers_on_the_map_are_those_of_the_contract():
    """docs/architecture.md shows the layers of pyproject.toml, in their order."""
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    shown = (ROOT / "docs" / "architecture.md").read_text()
    lines = [line.split("(")[0].strip() for line in shown.splitlines() if line.startswith("    ")]
    assert [line for line in lines if line in contract["layers"]] == contract["layers"]
