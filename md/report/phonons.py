"""The chapter on vibrations at Gamma: a line a mode, imaginary ones flagged."""

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from md.energetics.phonons import THZ_IN_PER_CM, GammaPhonons
from md.report.chapter import Analysis
from mlip.report.figures import new_axes, save_figure
from mlip.report.html import FigureBlock, Highlight, Section, TableBlock
from mlip.report.style import PALETTE, WIDE

_SAME_THZ = 0.02
_ACOUSTIC_THZ = 0.2


def phonons_chapter(found: GammaPhonons, folder: Path) -> Analysis:
    """Draw the frequencies, and write chapter and entries.

    Args:
        found: The result.
        folder: Where PNG and CSV go.
    """
    worst = float(np.abs(found.acoustic_THz).max())
    warnings = []
    if found.imaginary_THz:
        warnings.append(
            f"{len(found.imaginary_THz)} modes are imaginary, down to {min(found.imaginary_THz):.2f} THz: "
            "the structure is no minimum."
        )
    if worst > _ACOUSTIC_THZ:
        warnings.append(
            f"Acoustic modes are {worst:.2g} THz away from zero without the sum rule: forces do not "
            "add up to zero."
        )
    rows = [[float(f), float(f) * THZ_IN_PER_CM, count] for f, count in _levels(found.frequencies_THz)]
    section = Section(
        heading="Vibrations at Γ",
        text=f"{found.method}, {found.num_displacements} structures. The acoustic sum rule is imposed; "
        f"before it acoustic modes were within {worst:.2g} THz of zero. Imaginary ones are below zero.",
        figures=[_figure(found, folder)],
        tables=[TableBlock(["frequency (THz)", "wave number (1/cm)", "modes"], rows)],
        warnings=warnings,
    )
    highest = float(found.frequencies_THz[-1])
    common = {"unit": "THz", "error": None, "method": found.method}
    entries = {
        "phonons_gamma": common
        | {
            "value": highest,
            "value_per_cm": highest * THZ_IN_PER_CM,
            "what": "highest frequency",
            "frequencies_THz": found.frequencies_THz.tolist(),
            "frequencies_per_cm": found.frequencies_per_cm.tolist(),
            "imaginary_modes": len(found.imaginary_THz),
            "acoustic_before_sum_rule_THz": list(found.acoustic_THz),
            "warnings": warnings,
        },
    }
    card = Highlight("imaginary modes", str(len(found.imaginary_THz)), "", "at Γ")
    return Analysis(entries, [section], [card])


def _figure(found: GammaPhonons, folder: Path) -> FigureBlock:
    with new_axes("frequency (THz)", "modes", size=WIDE) as (figure, axes):
        levels = _levels(found.frequencies_THz)
        for frequency, count in levels:
            color = PALETTE[1] if frequency in found.imaginary_THz else PALETTE[0]
            axes.vlines(frequency, 0, count, color=color, linewidth=2.0)
        axes.set_ylim(0, 1.15 * max(count for _, count in levels))
        axes.margins(x=0.05)
        top = axes.secondary_xaxis("top", functions=(_to_wave_number, _to_frequency))
        top.set_xlabel("wave number (1/cm)")
        table = {"frequency_THz": found.frequencies_THz, "wave_number_per_cm": found.frequencies_per_cm}
        path = save_figure(figure, folder / "phonons.png", table)
    return FigureBlock(
        path, "Frequencies and how many modes have them; imaginary ones left of zero.", wide=True
    )


def _to_wave_number(frequency_THz: ArrayLike) -> np.ndarray:
    return np.asarray(frequency_THz, dtype=float) * THZ_IN_PER_CM


def _to_frequency(wave_number_per_cm: ArrayLike) -> np.ndarray:
    return np.asarray(wave_number_per_cm, dtype=float) / THZ_IN_PER_CM


def _levels(frequencies_THz: np.ndarray) -> list[tuple[float, int]]:
    """Each frequency, and how many modes have it."""
    starts = np.flatnonzero(np.diff(frequencies_THz, prepend=-np.inf) > _SAME_THZ)
    groups = np.split(frequencies_THz, starts[1:])
    return [(float(group[0]), len(group)) for group in groups]
