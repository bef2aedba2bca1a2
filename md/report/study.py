"""The chapter on a study: an Arrhenius plot over all glasses, and a table with a row for each."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from md.analysis.arrhenius import Arrhenius
from md.analysis.diffusion import Diffusivity
from md.analysis.study import Glass
from md.analysis.transport import Transport
from md.report.plots import plot_arrhenius
from md.report.text import scientific, with_error
from mlip.report.figures import new_axes, save_figure
from mlip.report.html import FigureBlock, Section, TableBlock
from mlip.report.style import INK, PALETTE, SINGLE

_TEXT = (
    "Each glass by itself, and all of them together. Glasses differ by more than their errors where their "
    "structures do: the fit over all has that spread in its errors. The number of a material is that of all."
)
_MOST_TEMPERATURES = 5
# glasses at one temperature stand beside each other, this part of the axis apart
_SHIFT = 0.025


def study_section(glasses: Sequence[Glass], transport: Transport, folder: Path) -> Section:
    """Draw the glasses and write their chapter.

    Args:
        glasses: two or more.
        transport: of all of them.
        folder: where PNG, SVG and CSV go.
    """
    figures, tables = [], []
    for symbol in transport.species:
        if symbol in transport.arrhenius:
            pooled, fit = transport.pooled[symbol], transport.arrhenius[symbol]
            figures.append(_arrhenius_figure(glasses, pooled, fit, symbol, folder))
        tables.append(_table(glasses, transport, symbol))
    return Section("Glasses", _TEXT, figures, tables)


def _arrhenius_figure(
    glasses: Sequence[Glass], pooled: Mapping[float, Diffusivity], fit: Arrhenius, symbol: str, folder: Path
) -> FigureBlock:
    rows = [
        (glass.name, temperature, result)
        for glass in glasses
        for temperature, result in glass.diffusivity[symbol].items()
    ]
    together = {temperature: result for _, temperature, result in rows} | dict(pooled)
    width = _SHIFT * (1000 / min(together) - 1000 / max(together))
    with new_axes("1000 / T (1/K)", f"D of {symbol} (cm²/s)", "", SINGLE) as (figure, axes):
        plot_arrhenius(axes, list(together.items()), fit, INK)
        for number, glass in enumerate(glasses):
            shift = width * (number - (len(glasses) - 1) / 2)
            found = glass.diffusivity[symbol].items()
            known = [
                (1000 / temperature, each.value) for temperature, each in found if each.value is not None
            ]
            inverse, values = np.array(known).reshape(-1, 2).T
            color = PALETTE[number % len(PALETTE)]
            axes.plot(inverse + shift, values, "o", color=color, zorder=4, label=_words(glass.name))
        axes.legend(loc="upper right", ncols=2 if len(glasses) > 4 else 1)
        table: dict[str, list[Any]] = {
            "glass": [name for name, *_ in rows],
            "temperature_K": [temperature for _, temperature, _ in rows],
            "D_cm2_per_s": [result.value for *_, result in rows],
            "error_cm2_per_s": [result.error for *_, result in rows],
            "upper_bound_cm2_per_s": [result.upper_bound for *_, result in rows],
        }
        path = save_figure(figure, folder / f"arrhenius_glasses_{symbol}.png", table)
    caption = (
        f"Diffusivity of {symbol}. Black: all runs at a temperature, and the fit over all glasses with its "
        "standard error; in colour, beside each other: every glass."
    )
    return FigureBlock(path, caption)


def _table(glasses: Sequence[Glass], transport: Transport, symbol: str) -> TableBlock:
    temperatures = sorted({each for glass in glasses for each in glass.diffusivity[symbol]}, reverse=True)
    shown = temperatures if len(temperatures) <= _MOST_TEMPERATURES else [temperatures[0], temperatures[-1]]
    header = ["glass", "density (g/cm³)", *(f"D at {each:.0f} K (cm²/s)" for each in shown), "E_a (eV)"]
    rows = [
        [
            _words(glass.name),
            _density(glass),
            *(_diffusivity(glass.diffusivity[symbol].get(each)) for each in shown),
            _barrier(glass.arrhenius[symbol]),
        ]
        for glass in glasses
    ]
    pooled, fit = transport.pooled[symbol], transport.arrhenius.get(symbol)
    together = [_diffusivity(pooled.get(each)) for each in shown]
    rows.append(["all", None, *together, _barrier(fit) if fit else None])
    caption = f"{symbol}: each glass and all of them. Densities are at the lowest temperature of each."
    if fit is not None and fit.spread_of_glasses is not None:
        caption += (
            f" From glass to glass ln D differs by {fit.spread_of_glasses:.2f} (one standard deviation)."
        )
    return TableBlock(header, rows, caption)


def _words(name: str) -> str:
    return f"glass {name}" if name.isdigit() else name


def _density(glass: Glass) -> str | None:
    return f"{glass.density_g_cm3[min(glass.density_g_cm3)]:.3f}" if glass.density_g_cm3 else None


def _diffusivity(result: Diffusivity | None) -> str | None:
    if result is None:
        return None
    if result.value is None or result.error is None:
        return f"< {scientific(result.upper_bound)}" if result.upper_bound is not None else None
    return with_error(result.value, result.error)


def _barrier(fit: Arrhenius) -> str | None:
    if fit.activation_energy_eV is None or fit.error_eV is None:
        return None
    return with_error(fit.activation_energy_eV, fit.error_eV)
