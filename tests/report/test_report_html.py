"""Reports need nothing beside them; figures carry their numbers."""

import csv
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

from mlip.report.figures import new_axes, new_panels, save_figure
from mlip.report.html import FigureBlock, Highlight, Section, TableBlock, write_report

VOID = {"meta", "img", "br", "link", "path", "use"}


class Balance(HTMLParser):
    """Every tag that opens closes, in order."""

    def __init__(self):
        super().__init__()
        self.open_tags, self.sources, self.names, self.uses = [], [], [], []

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag("path", attrs)

    def handle_starttag(self, tag, attrs):
        self.sources += [value for name, value in attrs if name in ("src", "href")]
        self.names += [value for name, value in attrs if name == "id"]
        self.uses += [value for name, value in attrs if name == "xlink:href"]
        if tag not in VOID:
            self.open_tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open_tags.pop() == tag


@pytest.fixture
def figure_path(tmp_path):
    with new_axes("time (ps)", "MSD (Å²)", "A title") as (figure, axes):
        axes.plot([0, 1, 2], [0, 1, 4], label="Li", gid="curve")
        axes.legend()
        return save_figure(
            figure, tmp_path / "figures" / "msd", {"time_ps": [0, 1, 2], "msd_A2": np.array([0.0, 1.0])}
        )


def test_figure_leaves_a_png_and_the_csv_behind_it(figure_path):
    assert figure_path.name == "msd.png"
    assert figure_path.read_bytes().startswith(b"\x89PNG")
    with figure_path.with_suffix(".csv").open(newline="") as stream:
        assert list(csv.reader(stream)) == [["time_ps", "msd_A2"], ["0", "0.0"], ["1", "1.0"], ["2", ""]]


def test_figure_leaves_an_svg_whose_points_say_their_values(figure_path):
    svg = ElementTree.parse(figure_path.with_suffix(".svg")).getroot()
    marks = svg.findall(".//{*}g[@class='values']/{*}g/{*}circle")
    assert [mark.find("{*}title").text for mark in marks] == [
        f"Li\ntime (ps): {x}\nMSD (Å²): {x * x}" for x in (0, 1, 2)
    ]
    # they lie on the line as matplotlib draws it: its path is in the same points
    drawn = svg.find(".//{*}g[@id='curve']/{*}path").get("d")
    corners = [tuple(map(float, corner.split())) for corner in re.findall(r"[ML] (\S+ \S+)", drawn)]
    places = [(float(mark.get("cx")), float(mark.get("cy"))) for mark in marks]
    assert np.allclose(corners, places, atol=0.1)


def test_svg_of_many_points_stays_small(tmp_path):
    with new_axes("x", "y") as (figure, axes):
        axes.plot(*np.random.default_rng(0).random((2, 30_000)), ".")
        path = save_figure(figure, tmp_path / "crowd", {"x": [0]}).with_suffix(".svg")
    assert "<image" in path.read_text()
    assert path.stat().st_size < 500_000


def test_style_ends_with_the_figure():
    before = dict(matplotlib.rcParams)
    with new_panels(2, 2, (4, 4)) as (figure, panels):
        assert len(panels) == 4
        assert matplotlib.rcParams["axes.grid"]
        assert figure.get_constrained_layout()
    assert dict(matplotlib.rcParams) == before


def test_report_is_self_contained_and_well_formed(tmp_path, figure_path):
    section = Section(
        heading="Diffusion & <more>",
        text="One paragraph.\n\nAnother one.",
        figures=[FigureBlock(figure_path, 'A caption with "quotes"', wide=True)],
        tables=[
            TableBlock(["quantity", "value", "n"], [["D", 1.23456789e-6, 3], ["none", None, 4]], "A table")
        ],
        warnings=["Too few hops."],
    )
    highlights = [Highlight("D of Li", "1.2 ± 0.3", "cm²/s", "at 600 K")]
    path = write_report(tmp_path / "report.html", "A <title>", "Intro.", [section], highlights, {"seed": 0})
    text = path.read_text(encoding="utf-8")
    parser = Balance()
    parser.feed(text)
    assert parser.open_tags == []
    assert len(parser.sources) == 4
    assert all(source.startswith(("data:", "#section-")) for source in parser.sources)
    fetched = re.sub(r'xmlns(:\w+)?="[^"]*"', "", re.sub(r"url\(#", "", text))
    assert not re.search(
        r"https?://(?!www.w3.org|purl.org|creativecommons)|@import|<script src|url\(", fetched
    )
    assert parser.names == sorted(set(parser.names), key=parser.names.index)
    assert {each.removeprefix("#") for each in parser.uses} <= set(parser.names)
    assert text.count("<p>One paragraph.</p>") == 1
    assert "A &lt;title&gt;" in text
    assert "<title>A <title>" not in text
    assert '<td class="number">1.235e-06</td>' in text
    assert '<td class="number">–</td>' in text
    assert "Too few hops." in text
    assert "<dt>seed</dt><dd>0</dd>" in text


def test_figures_of_one_name_keep_their_parts_apart(tmp_path):
    paths = []
    for folder in ("one", "other"):
        with new_axes("x", "y") as (figure, axes):
            axes.plot([0, 1, 2], [1, 0, 1], "o")
            paths.append(save_figure(figure, tmp_path / folder / "same", {"x": [0]}))
    page = write_report(
        tmp_path / "page.html", "Two", "", [Section("A", figures=[FigureBlock(path, "") for path in paths])]
    )
    names = re.findall(r'\sid="([^"]+)"', page.read_text())
    assert len(names) == len(set(names))


def test_report_of_nothing_is_still_a_page(tmp_path):
    parser = Balance()
    parser.feed(write_report(tmp_path / "new" / "report.html", "Empty", "", []).read_text(encoding="utf-8"))
    assert parser.open_tags == []
