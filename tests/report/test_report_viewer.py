"""The interactive page in a real browser: it draws, it answers the pointer, it fits a phone."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from md.analysis import Frames
from md.report.scene import scene_section
from mlip.report.figures import new_axes, save_figure
from mlip.report.html import FigureBlock, Section, TableBlock, write_report
from mlip.report.style import WIDE
from mlip.report.viewer import Scene

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
in_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium")


def walk(num_frames=3):
    """Two PS units and a lithium in a skewed cell; the lithium moves by 1 A a frame through a face."""
    cell = np.array([[8.0, 0.0, 0.0], [2.0, 8.0, 0.0], [0.0, 1.0, 8.0]])
    start = np.array([[2.0, 2.0, 2.0], [2.0, 2.0, 4.0], [5.0, 5.0, 5.0], [5.0, 5.0, 3.0], [7.5, 1.0, 1.0]])
    positions = np.repeat(start[None], num_frames, axis=0)
    positions[:, 4, 0] += np.arange(num_frames)
    cells = np.tile(cell, (num_frames, 1, 1))
    return Frames(
        positions @ np.linalg.inv(cell), cells, np.array([15, 16, 15, 16, 3]), np.arange(num_frames) / 2
    )


def two_lines(folder):
    """A broad plot of two lines of three points, as a figure of a report."""
    with new_axes("time (ps)", "MSD (Å²)", size=WIDE) as (figure, axes):
        axes.plot([0, 1, 2], [0, 1, 4], label="Li")
        axes.plot([0, 1, 2], [8, 7, 6], label="S")
        return FigureBlock(save_figure(figure, folder / "msd", {"time_ps": [0, 1, 2]}), "MSD", wide=True)


def browse(page, *options):
    """What the page is after its scripts have run."""
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=3000",
        *options,
    ]
    done = subprocess.run(
        [*command, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=120, check=False
    )
    return done.stdout


def test_scene_holds_the_frames_wrapped_with_what_is_known_of_each_atom(tmp_path):
    frames = walk()
    page = write_report(tmp_path / "page.html", "A structure", "", [scene_section(frames)]).read_text()
    data = json.loads(re.search(r'application/json">(.*?)</script>', page)[1])
    assert data["symbols"] == ["P", "S", "P", "S", "Li"]
    assert data["bonded"] == ["P", "S"]
    assert data["values"]["moved"]["frames"][2] == [0, 0, 0, 0, 2]
    # the first P sees its S, and the lithium through the face of the cell
    assert data["values"]["neighbors"]["frames"][0][:4] == [2, 1, 1, 1]
    wrapped = np.array(data["positions"][2]).reshape(-1, 3) / data["scale"]
    assert wrapped[4] == pytest.approx([1.5, 1.0, 1.0], abs=0.01)
    assert not re.search(r"(src|href)=\"(?!#)|https?://|import ", page)


@in_a_browser
def test_page_draws_and_says_what_the_pointer_is_on(tmp_path):
    page = write_report(tmp_path / "page.html", "A structure", "", [scene_section(walk())])
    script = """<script>onload = () => {
      const canvas = document.querySelector("canvas"), box = canvas.getBoundingClientRect();
      const heard = new Set();
      for (let y = 4; y < box.height; y += 8) for (let x = 4; x < box.width; x += 8) {
        canvas.dispatchEvent(new PointerEvent("pointermove", {clientX: box.left + x, clientY: box.top + y}));
        const atom = /([A-Z][a-z]?), atom ([0-9])/.exec(document.querySelector("output").textContent);
        if (atom) heard.add(atom[1] + atom[2]);
      }
      document.title = [...heard].sort().join(" ");
    }</script>"""
    page.write_text(page.read_text().replace("</body>", f"{script}</body>"))
    dom = browse(page)
    assert re.search(r"<title>(.*?)</title>", dom)[1] == "Li4 P0 P2 S1 S3"


@in_a_browser
def test_the_nearer_of_two_atoms_answers_and_up_is_up(tmp_path):
    """Two atoms in the line of sight through the middle of the cell, a third above them."""
    right, up, towards = np.array([[0.914, -0.407, 0.0], [0.098, 0.221, 0.97], [-0.395, -0.886, 0.242]])
    places = 5.0 + np.array([-3 * towards, 3 * towards, 4 * up, 4 * right])
    scene = Scene(
        ["P", "S", "Li", "O"],
        places[None],
        10.0 * np.eye(3)[None],
        ["one"],
        dict.fromkeys(["P", "S", "Li", "O"], "#888888"),
        dict.fromkeys(["P", "S", "Li", "O"], 0.6),
    )
    page = write_report(tmp_path / "page.html", "Atoms", "", [Section("Scene", scene=scene)])
    script = """<script>onload = () => {
      const canvas = document.querySelector("canvas"), box = canvas.getBoundingClientRect(), heard = [];
      for (const [right, up] of [[0, 0], [0, 1], [1, 0]]) for (let far = 0; far < box.height / 2; far += 4) {
        const x = box.left + box.width / 2 + right * far, y = box.top + box.height / 2 - up * far;
        canvas.dispatchEvent(new PointerEvent("pointermove", {clientX: x, clientY: y}));
        const atom = /([A-Z][a-z]?), atom/.exec(document.querySelector("output").textContent);
        if (atom && heard[heard.length - 1] !== atom[1]) heard.push(atom[1]);
      }
      document.title = heard.join(" ");
    }</script>"""
    page.write_text(page.read_text().replace("</body>", f"{script}</body>"))
    assert re.search(r"<title>(.*?)</title>", browse(page))[1] == "S Li S O"


@in_a_browser
def test_taps_and_keys_show_the_values_of_a_plot(tmp_path):
    page = write_report(tmp_path / "page.html", "Plots", "", [Section("A", figures=[two_lines(tmp_path)])])
    script = """<script>onload = () => {
      const panel = document.querySelector(".plot"), said = panel.querySelector("output"), heard = [];
      const hear = () => heard.push(said.hidden ? "nothing" : said.textContent.replace(/\\n.*: /g, " "));
      const tap = (mark, beside) => {
        const box = panel.querySelectorAll("circle")[mark].getBoundingClientRect();
        document.elementFromPoint(box.left + beside, box.top + 5).dispatchEvent(
          new MouseEvent("click", {clientX: box.left + beside, clientY: box.top + 5, bubbles: true}));
        hear();
      };
      const press = key => {
        panel.dispatchEvent(new KeyboardEvent("keydown", {key}));
        hear();
      };
      hear(); tap(1, 15); tap(5, 5); tap(1, -60);
      panel.focus();
      heard.push(document.activeElement === panel ? "focus" : "none");
      for (const key of "ArrowRight ArrowRight ArrowDown ArrowLeft ArrowUp Escape".split(" ")) press(key);
      document.title = heard.join("; ");
    }</script>"""
    page.write_text(page.read_text().replace("</body>", f"{script}</body>"))
    heard = re.search(r"<title>(.*?)</title>", browse(page))[1].split("; ")
    assert heard[:5] == ["nothing", "Li 1 1", "S 2 6", "nothing", "focus"]
    assert heard[5:] == ["Li 0 0", "Li 1 1", "S 1 7", "S 0 8", "Li 0 0", "nothing"]


@in_a_browser
def test_pages_fit_a_phone(tmp_path):
    table = TableBlock(["a long name of a column"] * 8, [["a value that does not break"] * 8])
    section = Section("B", figures=[two_lines(tmp_path)], tables=[table])
    page = write_report(tmp_path / "page.html", "A title", "", [scene_section(walk()), section])
    phone = tmp_path / "phone.html"
    phone.write_text(
        f'<iframe src="{page.as_uri()}" style="width:390px;height:800px"></iframe><script>onload = () => {{'
        "const page = frames[0].document, last = [...page.querySelectorAll('.plot circle')].pop();"
        "last.scrollIntoView({inline: 'nearest'}); const box = last.getBoundingClientRect();"
        "last.dispatchEvent(new MouseEvent('click', {clientX: box.left, clientY: box.top, bubbles: true}));"
        "const said = page.querySelector('figure output').getBoundingClientRect();"
        "document.title = [page.documentElement.scrollWidth, said.left, said.right].map(Math.round)}</script>"
    )
    dom = browse(phone, "--allow-file-access-from-files")
    width, left, right = map(int, re.search(r"<title>(.*?)</title>", dom)[1].split(","))
    assert width <= 390
    assert 0 < left < right < 390
