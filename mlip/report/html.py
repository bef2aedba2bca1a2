"""A report as one HTML file that needs nothing beside it: no network, no image; small scripts of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from mlip.report.embed import has_values, link_file, render_figure, values_script
from mlip.report.viewer import Scene, render_viewer, viewer_script

_STYLESHEET = Path(__file__).with_name("report.css")


@dataclass(frozen=True)
class FigureBlock:
    """A picture in a report.

    Attributes:
        path: the PNG; SVG and CSV of the same name beside it are put into the report.
        caption: what the reader sees, with its units and conditions.
        wide: over the full width of the page.
    """

    path: Path
    caption: str
    wide: bool = False


@dataclass(frozen=True)
class TableBlock:
    """A table in a report; columns of nothing but numbers are set right-aligned.

    Attributes:
        header: column names with units.
        rows: cells; floats are shown with four significant digits, None as a dash.
        caption: what the table holds.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[Any]]
    caption: str = ""


@dataclass(frozen=True)
class Highlight:
    """One number a reader should take away, shown on a card under the title."""

    label: str
    value: str
    unit: str = ""
    note: str = ""


@dataclass(frozen=True)
class Section:
    """A chapter of a report.

    Attributes:
        heading: its title.
        text: plain text; a blank line starts a new paragraph.
        figures: pictures, laid side by side where the page is wide enough.
        tables: tables, below the pictures.
        warnings: what the reader must know before believing the numbers, set apart in colour.
        references: what is cited, numbered from one.
        files: files that the reader can save from the page.
        scene: a structure to turn and ask, below the text.
    """

    heading: str
    text: str = ""
    figures: Sequence[FigureBlock] = ()
    tables: Sequence[TableBlock] = ()
    warnings: Sequence[str] = ()
    references: Sequence[str] = ()
    files: Sequence[Path] = ()
    scene: Scene | None = None


def write_report(
    path: str | Path,
    title: str,
    intro: str,
    sections: Sequence[Section],
    highlights: Sequence[Highlight] = (),
    provenance: Mapping[str, Any] | None = None,
) -> Path:
    """Write a self-contained HTML report.

    Args:
        path: the HTML file to write.
        title: headline.
        intro: plain text under the headline; a blank line starts a new paragraph.
        sections: the chapters in order.
        highlights: the numbers shown on cards at the top.
        provenance: what made the report (versions, inputs, seeds), shown in the footer.

    Returns:
        The path written.
    """
    target = Path(path)
    anchors = [f"section-{number}" for number in range(1, len(sections) + 1)]
    links = "".join(
        f'<a href="#{anchor}">{escape(section.heading)}</a>'
        for anchor, section in zip(anchors, sections, strict=True)
    )
    chapters = "\n".join(
        _render_section(section, anchor) for anchor, section in zip(anchors, sections, strict=True)
    )
    document = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{_STYLESHEET.read_text(encoding="utf-8")}</style>
</head>
<body>
<header><div>
<div class="mark">Vitreous</div>
<h1>{escape(title)}</h1>
{_render_paragraphs(intro)}
<nav>{links}</nav>
</div></header>
<main>
{_render_highlights(highlights)}
{chapters}
</main>
{_render_footer(provenance or {})}
{values_script() if has_values(chapters) else ""}
{viewer_script() if any(section.scene for section in sections) else ""}
</body>
</html>
"""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(document, encoding="utf-8")
    return target


def _render_paragraphs(text: str) -> str:
    paragraphs = (part.strip() for part in text.split("\n\n"))
    return "\n".join(f"<p>{escape(part)}</p>" for part in paragraphs if part)


def _render_highlights(highlights: Sequence[Highlight]) -> str:
    if not highlights:
        return ""
    cards = "\n".join(
        f'<div class="highlight"><div class="label">{escape(card.label)}</div>'
        f'<div class="value">{escape(card.value)}<span class="unit">{escape(card.unit)}</span></div>'
        f'<div class="note">{escape(card.note)}</div></div>'
        for card in highlights
    )
    return f'<div class="highlights">\n{cards}\n</div>'


def _render_section(section: Section, anchor: str) -> str:
    warnings = "".join(f"<li>{escape(warning)}</li>" for warning in section.warnings)
    figures = "\n".join(render_figure(each.path, each.caption, each.wide) for each in section.figures)
    references = "".join(f"<li>{escape(reference)}</li>" for reference in section.references)
    files = ", ".join(link_file(path, path.name) for path in section.files)
    parts = [
        f'<section id="{anchor}">',
        f"<h2>{escape(section.heading)}</h2>",
        _render_paragraphs(section.text),
        f'<ul class="warnings">{warnings}</ul>' if warnings else "",
        render_viewer(section.scene) if section.scene else "",
        f'<div class="figures">\n{figures}\n</div>' if figures else "",
        *(_render_table(table) for table in section.tables),
        f'<ol class="references">{references}</ol>' if references else "",
        f'<p class="files">{files}</p>' if files else "",
        "</section>",
    ]
    return "\n".join(part for part in parts if part)


def _render_table(table: TableBlock) -> str:
    columns = [[row[k] for row in table.rows if row[k] is not None] for k in range(len(table.header))]
    numeric = [bool(column) and all(map(_is_number, column)) for column in columns]
    head = "".join(
        f"<th{_number_class(right)}>{escape(name)}</th>"
        for name, right in zip(table.header, numeric, strict=True)
    )
    body = "\n".join(_render_row(row, numeric) for row in table.rows)
    caption = f"<caption>{escape(table.caption)}</caption>" if table.caption else ""
    return (
        f'<div class="scroll"><table>{caption}<thead><tr>{head}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>"
    )


def _render_row(row: Sequence[Any], numeric: Sequence[bool]) -> str:
    cells = (
        f"<td{_number_class(right)}>{_format_cell(cell)}</td>"
        for cell, right in zip(row, numeric, strict=True)
    )
    return f"<tr>{''.join(cells)}</tr>"


def _is_number(cell: Any) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)


def _number_class(right: bool) -> str:
    return ' class="number"' if right else ""


def _format_cell(cell: Any) -> str:
    if cell is None:
        return "–"
    text = f"{cell:.4g}" if isinstance(cell, float) else escape(str(cell))
    # a value and its error stay on one line
    return text.replace(" ± ", "&nbsp;±&nbsp;").replace(" × ", "&nbsp;×&nbsp;")


def _render_footer(provenance: Mapping[str, Any]) -> str:
    entries = "\n".join(
        f"<dt>{escape(str(key))}</dt><dd>{escape(str(value))}</dd>" for key, value in provenance.items()
    )
    return f"<footer>Written by Vitreous.<dl>\n{entries}\n</dl></footer>"
