"""Figures as SVG: transparent, small however many points there are, and with the values of their points."""

import re
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape
from zlib import crc32

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import Collection
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

# Artists of more points than this are drawn into the SVG as a picture.
_MOST_VECTORS = 5000
_MOST_VALUES = 80
_POINTS_PER_INCH = 72
_REACH = 4.5
_FORMULA = re.compile(r"\$|\\mathrm|[{}]")
_NAMES = re.compile(r'(\sid="|xlink:href="#|url\(#)([^")]+)')
_PREAMBLE = re.compile(r"^.*?(?=<svg)", re.DOTALL)
_WIDTH = re.compile(r'viewBox="0 0 ([\d.]+) ')
_HEAD = 2000
_SIZES = re.compile(r'(<svg[^>]*?)\s(?:width|height)="[^"]*"', re.DOTALL)


def write_svg(figure: Figure, path: Path) -> Path:
    """Write a figure as SVG on a transparent ground; the points of lines and bars say their values.

    Args:
        figure: the figure, drawn.
        path: the file to write.

    Returns:
        The path written.
    """
    for artist in figure.findobj(_is_crowded):
        artist.set_rasterized(True)
    with matplotlib.rc_context({"svg.hashsalt": path.stem}):
        figure.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})
    lines = "\n".join(line for axes in figure.axes for line in _value_marks(figure, axes))
    if lines:
        drawn = path.read_text(encoding="utf-8").removesuffix("</svg>\n")
        path.write_text(f'{drawn}<g class="values">\n{lines}\n</g>\n</svg>\n', encoding="utf-8")
    return path


def inline_svg(path: Path, label: str) -> str:
    """An SVG of ours as a part of an HTML page: as wide as its place, its names not those of another.

    Args:
        path: the file.
        label: what it shows, for those who cannot see it.
    """
    text = _PREAMBLE.sub("", path.read_text(encoding="utf-8"))
    for _ in ("width", "height"):
        text = _SIZES.sub(r"\1", text, count=1)
    text = _NAMES.sub(rf"\g<1>{crc32(str(path).encode()):08x}-\2", text)
    return text.replace("<svg", f'<svg role="img" aria-label="{escape(label, {chr(34): "&quot;"})}"', 1)


def svg_width(path: Path) -> float:
    """Width of an SVG of ours in points; 0 where it does not say it."""
    with path.open(encoding="utf-8") as stream:
        found = _WIDTH.search(stream.read(_HEAD))
    return float(found[1]) if found else 0.0


def _is_crowded(artist: object) -> bool:
    if isinstance(artist, Collection):
        values = artist.get_array()
        return (
            max(len(np.asarray(artist.get_offsets())), 0 if values is None else values.size) > _MOST_VECTORS
        )
    return (
        isinstance(artist, matplotlib.lines.Line2D) and len(np.asarray(artist.get_xydata())) > _MOST_VECTORS
    )


def _value_marks(figure: Figure, axes: Axes) -> Iterator[str]:
    """A group a line, of circles that nobody sees, with the label and the coordinates of what is below."""
    height = figure.get_size_inches()[1] * _POINTS_PER_INCH
    to_inches = figure.dpi_scale_trans.inverted()
    for label, points in _labelled_points(axes):
        pixels = axes.transData.transform(points)
        low, high = axes.bbox.padded(1.0).get_points()
        # not finite, such as zero on a logarithmic axis, is not inside either
        inside = np.flatnonzero(((pixels >= low) & (pixels <= high)).all(axis=1))
        if not len(inside):
            continue
        chosen = inside[np.unique(np.linspace(0, len(inside) - 1, _MOST_VALUES).astype(int))]
        places = to_inches.transform(pixels[chosen]) * _POINTS_PER_INCH
        circles = []
        for (x, y), (left, up) in zip(points[chosen], places, strict=True):
            words = [label, f"{axes.get_xlabel()}: {x:.4g}", f"{axes.get_ylabel()}: {y:.4g}"]
            title = escape(_FORMULA.sub("", "\n".join(word.removeprefix(": ") for word in words if word)))
            circles.append(
                f'<circle cx="{left:.1f}" cy="{height - up:.1f}" r="{_REACH}" fill="#000" fill-opacity="0">'
                f"<title>{title}</title></circle>"
            )
        yield f"<g>{''.join(circles)}</g>"


def _labelled_points(axes: Axes) -> Iterator[tuple[str, np.ndarray]]:
    """Label and data coordinates, shape (P, 2), of every line, and of the tops of bars."""
    for line in axes.lines:
        if line.get_transform() == axes.transData and line.get_visible():
            label = str(line.get_label())
            yield "" if label.startswith("_") else label, np.asarray(line.get_xydata(), dtype=float)
    for bars in axes.containers:
        if isinstance(bars, BarContainer):
            tops = [(bar.get_x() + bar.get_width() / 2, bar.get_y() + bar.get_height()) for bar in bars]
            yield str(bars.get_label()).removeprefix("_"), np.array(tops, dtype=float).reshape(-1, 2)
