"""A structure to turn, zoom and ask in a page: its numbers and a small script, no server, no network."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

_SCRIPT = Path(__file__).with_name("viewer.js")
# positions are whole numbers of 1/100 A
_SCALE = 100


@dataclass(frozen=True)
class AtomValues:
    """A number for each atom in each frame.

    Attributes:
        name: what it is, as it is shown.
        values: shape (F, N).
        unit: shown behind the number, with a space before it.
    """

    name: str
    values: np.ndarray
    unit: str = ""


@dataclass(frozen=True)
class Scene:
    """Frames of a structure to look at.

    Attributes:
        symbols: chemical symbol of each atom, N of them.
        positions: shape (F, N, 3), A.
        cells: lattice vectors as rows, shape (F, 3, 3), A.
        labels: what each frame is.
        colors: symbol -> colour as in CSS.
        radii: symbol -> radius of the ball, A.
        bonded: symbols between which bonds are drawn.
        contact: longest bond in sums of radii of the balls.
        values: what the atoms can be coloured by and say about themselves.
    """

    symbols: Sequence[str]
    positions: np.ndarray
    cells: np.ndarray
    labels: Sequence[str]
    colors: Mapping[str, str]
    radii: Mapping[str, float]
    bonded: Sequence[str] = ()
    contact: float = 2.4
    values: Sequence[AtomValues] = ()


def render_viewer(scene: Scene) -> str:
    """The part of an HTML page that shows a scene; the script of `viewer_script` brings it to life."""
    # a script of data ends at the first </script>, wherever it stands
    data = json.dumps(_as_data(scene), separators=(",", ":")).replace("</", "<\\/")
    choices = "".join(
        f"<option>{escape(name)}</option>" for name in ("element", *(each.name for each in scene.values))
    )
    last = len(scene.labels) - 1
    legend = " ".join(
        f'<span style="color:{escape(color)}">●</span> {escape(symbol)}'
        for symbol, color in scene.colors.items()
    )
    return (
        f'<div class="viewer"><canvas></canvas><div class="controls">'
        f'<label>frame <input type="range" min="0" max="{last}" value="{last}"></label>'
        f"<label>colour by <select>{choices}</select></label><span>{legend}</span></div>"
        f'<output></output><script type="application/json">{data}</script></div>'
    )


def viewer_script() -> str:
    """The script that a page with viewers ends with."""
    return f"<script>{_SCRIPT.read_text(encoding='utf-8')}</script>"


def _as_data(scene: Scene) -> dict[str, object]:
    """The scene in plain numbers, as the script reads it."""
    places = np.rint(_SCALE * scene.positions).astype(int).reshape(len(scene.positions), -1)
    return {
        "symbols": list(scene.symbols),
        "positions": places.tolist(),
        "scale": _SCALE,
        "cells": np.round(scene.cells, 3).tolist(),
        "labels": list(scene.labels),
        "colors": dict(scene.colors),
        "radii": dict(scene.radii),
        "bonded": list(scene.bonded),
        "contact": scene.contact,
        "values": {
            each.name: {
                "frames": np.round(each.values, 2).tolist(),
                "range": [round(float(each.values.min()), 2), round(float(each.values.max()), 2)],
                "unit": each.unit,
            }
            for each in scene.values
        },
    }
