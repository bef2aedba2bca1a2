"""Figures and files inside an HTML page: drawn there as SVG, and to be saved from there."""

import base64
from html import escape
from pathlib import Path

from mlip.report.vector import inline_svg, svg_width

_SCRIPT = Path(__file__).with_name("values.js")
_MEDIA = {
    ".csv": "text/csv",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".bib": "application/x-bibtex",
}
# What is larger is a picture rather than a plot, and shown as PNG.
_LARGEST_SVG = 600_000
# Several panels side by side, in points: too broad for a phone, where they scroll.
_BROAD = 500.0


def render_figure(path: Path, caption: str, wide: bool) -> str:
    """A figure with its caption and links to its files.

    Plots are SVG and take the colours of the page; what has pixels in it stands on white.

    Args:
        path: the PNG; SVG and CSV of the same name are used where they are beside it.
        caption: text below.
        wide: over the full width of the page.
    """
    vector, numbers = path.with_suffix(".svg"), path.with_suffix(".csv")
    is_drawn = vector.exists() and vector.stat().st_size < _LARGEST_SVG
    drawn = (
        inline_svg(vector, caption) if is_drawn else f'<img alt="{escape(caption)}" src="{data_uri(path)}">'
    )
    kind = "plot" if is_drawn and "<image" not in drawn else "picture"
    panel = f"{kind} broad" if vector.exists() and svg_width(vector) > _BROAD else kind
    # a picture that is shown is there to be saved already
    files = [file for file in (numbers, *((path, vector) if is_drawn else ())) if file.exists()]
    links = " ".join(link_file(file, file.suffix[1:].upper()) for file in files)
    return (
        f'<figure{" class=wide" if wide else ""}><div class="{panel}">{drawn}</div>'
        f'<figcaption>{escape(caption)} <span class="files">{links}</span></figcaption></figure>'
    )


def has_values(page: str) -> bool:
    """Whether plots of a page have points with values, which `values_script` shows."""
    return '<g class="values">' in page


def values_script() -> str:
    """The script that a page ends with whose plots show their values to fingers and keys."""
    return f"<script>{_SCRIPT.read_text(encoding='utf-8')}</script>"


def link_file(path: Path, text: str) -> str:
    """A link that saves a file which is inside the page."""
    return f'<a download="{escape(path.name)}" href="{data_uri(path)}">{escape(text)}</a>'


def data_uri(path: Path) -> str:
    """A file as a URI that holds all of it."""
    return f"data:{_MEDIA[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
