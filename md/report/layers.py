"""The chapter on layers: profiles along an axis, and pictures of how they change in time."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from md.analysis.frames import Frames
from md.analysis.kymograph import Kymograph
from md.analysis.profiles import Profile, average_over_time
from md.report.chapter import (
    Analysis,
    Entries,
    legend_labels,
    name_part,
    stretch_colors,
    stretch_context,
)
from md.report.entries import join_name
from md.report.structure_plots import plot_kymograph, plot_profile
from mlip.report.figures import legend_above, new_grid, new_panels, save_figure
from mlip.report.html import FigureBlock, Section

_EXPLANATION = (
    "Layers across a lattice vector that follow the centre of mass of all atoms. Profiles are averages over "
    "time with one standard error; a bond counts in the layer of its centre."
)


def layers_chapter(
    stretches: Sequence[Frames], maps: Sequence[Sequence[Kymograph]], folder: Path
) -> Analysis:
    """Draw the profiles and write chapter and entries.

    Args:
        stretches: the frames.
        maps: the quantities in layers, the same for each stretch.
        folder: where PNG and CSV go.
    """
    profiles = [[average_over_time(each) for each in some] for some in maps]
    labels, colors = legend_labels(stretches), stretch_colors(stretches)
    table: dict[str, Any] = {}
    with new_grid(len(profiles[0])) as (figure, panels):
        for place, axes in enumerate(panels):
            for some, label, color in zip(profiles, labels, colors, strict=True):
                profile = some[place]
                plot_profile(axes, profile, color, label)
                table[f"position_A {label}"] = profile.positions_A
                table[f"{profile.quantity} ({profile.unit}) {label}"] = profile.values
                table[f"{profile.quantity} error {label}"] = profile.errors
            axes.set_title(profiles[0][place].quantity)
            axes.set_xlabel(f"along {profiles[0][place].axis} (Å)")
            axes.set_ylabel(profiles[0][place].unit.replace("A", "Å").replace("^3", "³"))
        if len(labels) > 1:
            legend_above(figure, panels[0])
        path = save_figure(figure, folder / "profiles.png", table)
    figures = [
        FigureBlock(path, "Profiles along the axis with one standard error.", wide=len(profiles[0]) > 1)
    ]
    section = Section(heading="Profiles", text=_EXPLANATION, figures=figures)
    return Analysis(_entries(stretches, profiles), [section])


def kymograph_figure(maps: Mapping[str, Kymograph], folder: Path, name: str, caption: str) -> FigureBlock:
    """Draw maps of position and time side by side as one figure.

    Args:
        maps: title -> map.
        folder: where PNG and CSV go.
        name: file name of the figure.
        caption: what they are.
    """
    table: dict[str, Any] = {}
    with new_panels(1, len(maps), (4.9 * len(maps), 3.5)) as (figure, panels):
        for axes, (title, kymograph) in zip(panels, maps.items(), strict=True):
            plot_kymograph(figure, axes, kymograph)
            axes.set_title(title)
            axes.set_xlabel("time (ps)" if kymograph.times_ps is not None else "frame")
            axes.set_ylabel(f"along {kymograph.axis} (Å)")
            times = kymograph.times_ps if kymograph.times_ps is not None else np.arange(len(kymograph.values))
            table[f"{title}: position_A"] = kymograph.positions_A
            table |= {f"{title}: {time:g} ps": row for time, row in zip(times, kymograph.values, strict=True)}
        path = save_figure(figure, folder / f"{name}.png", table)
    return FigureBlock(path, caption, wide=len(maps) > 1)


def _entries(stretches: Sequence[Frames], profiles: Sequence[Sequence[Profile]]) -> Entries:
    """The smallest and the largest layer of each profile; the curves are in the CSV."""
    entries: Entries = {}
    for number, frames in enumerate(stretches):
        for profile in profiles[number]:
            if not np.isfinite(profile.values).any():
                continue
            top, bottom = int(np.nanargmax(profile.values)), int(np.nanargmin(profile.values))
            error = float(profile.errors[top])
            name = profile.quantity.replace(" ", "_")
            entries[join_name(f"profile_{name}", name_part(stretches, number))] = {
                "value": float(profile.values[top]),
                "unit": profile.unit,
                "error": error if np.isfinite(error) else None,
                "method": f"largest layer; {profile.method}",
                "position_A": float(profile.positions_A[top]),
                "smallest": float(profile.values[bottom]),
                "smallest_position_A": float(profile.positions_A[bottom]),
                **stretch_context(frames),
            }
    return entries
