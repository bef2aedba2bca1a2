"""The chapter on transport, MSD to activation energy."""

from pathlib import Path
from typing import Any

from md.analysis.conductivity import Conductivity
from md.analysis.diffusion import Diffusivity
from md.analysis.transport import StretchTransport, Transport
from md.report.plots import mark_hop, plot_arrhenius, plot_msd, shade_window, temperature_colors
from md.report.text import scientific, with_error, with_interval
from mlip.report.figures import new_axes, save_figure
from mlip.report.html import FigureBlock, Highlight, Section, TableBlock
from mlip.report.style import SINGLE

_EXPLANATION = (
    "D is the slope of the mean squared displacement divided by 2d, over lags from the one where the MSD "
    "reaches half the squared site-to-site distance a to 70 % of the run. The error is the larger of the "
    "formula of He et al. (npj Comput. Mater. 4, 18, 2018) and of a generalised least squares fit with the "
    "covariance of Brownian walkers. Where the MSD never gets that far, D is given as an upper bound. "
    "Conductivities follow from Nernst and Einstein with a Haven ratio of 1: ions move independently."
)


def transport_section(transport: Transport, folder: Path, directions: str = "xyz") -> Section:
    """Draw the figures of transport and write its chapter.

    Args:
        transport: the results.
        folder: where PNG and CSV go.
        directions: Cartesian directions the diffusivities were summed over.
    """
    figures = []
    for symbol in transport.species:
        figures.append(_msd_figure(transport, symbol, folder, directions))
        if symbol in transport.arrhenius:
            figures.append(_arrhenius_figure(transport, symbol, folder))
    return Section(
        heading="Diffusion",
        text=_EXPLANATION,
        figures=figures,
        tables=[_table(transport)],
        warnings=collect_warnings(transport),
    )


def collect_warnings(transport: Transport) -> list[str]:
    """Every warning about the transport results, once, with the stretches it belongs to."""
    runs: dict[tuple[str, str], list[str]] = {}
    for stretch in transport.stretches:
        for symbol, result in stretch.diffusivity.items():
            for warning in (*stretch.frames.notes, *result.warnings):
                runs.setdefault((symbol, warning), []).append(stretch_label(stretch))
    found = [
        f"{symbol} {', '.join(dict.fromkeys(labels))}".strip() + f": {warning}."
        for (symbol, warning), labels in runs.items()
    ]
    for symbol, pooled in transport.pooled.items():
        for temperature, result in pooled.items():
            new = [each for each in result.warnings if (symbol, each) not in runs]
            found += [f"{symbol}, all runs at {temperature:.0f} K: {warning}." for warning in new]
    for symbol, fit in transport.arrhenius.items():
        found += [f"{symbol}, activation energy: {warning}." for warning in fit.warnings]
        if fit.reason:
            found.append(f"{symbol}: no activation energy is given: {fit.reason}.")
    return found


def transport_highlights(transport: Transport) -> list[Highlight]:
    """The numbers of transport for the top of a report: hottest D, activation energy."""
    cards = []
    for symbol in transport.species:
        known = [s for s in transport.stretches if s.diffusivity[symbol].value is not None]
        for stretch in sorted(known, key=lambda s: s.frames.temperature_K or 0.0)[-1:]:
            quoted, of = stretch.diffusivity[symbol], ""
            pooled = transport.pooled.get(symbol, {}).get(stretch.frames.temperature_K or 0.0)
            if pooled is not None and pooled.value is not None:
                quoted, of = pooled, "all runs, "
            cards.append(
                Highlight(
                    f"D of {symbol}, {stretch_label(stretch)}".rstrip(", "),
                    _text(quoted),
                    "cm²/s",
                    f"self-diffusion, {of}one standard error",
                )
            )
        fit = transport.arrhenius.get(symbol)
        if fit is not None and fit.activation_energy_eV is not None:
            value = f"{fit.activation_energy_eV:.2f} ± {fit.error_eV:.2f}"
            low, high = fit.interval_eV or (0.0, 0.0)
            note = f"weighted Arrhenius fit; 95 % interval {low:.2f} to {high:.2f}"
            cards.append(Highlight(f"Activation energy of {symbol}", value, "eV", note))
        room = transport.extrapolated.get(symbol)
        if room is not None and room.conductivity is not None:
            value = with_interval(room.conductivity, room.conductivity_interval)
            cards.append(Highlight(f"σ of {symbol} at 300 K", value, "S/cm", "extrapolated; 95 % interval"))
    return cards


def stretch_label(stretch: StretchTransport) -> str:
    """How a stretch is called in legends and tables."""
    temperature = stretch.frames.temperature_K
    return f"{temperature:.0f} K" if temperature is not None else stretch.frames.label


def _msd_figure(transport: Transport, symbol: str, folder: Path, directions: str) -> FigureBlock:
    stretches = transport.stretches
    colors = temperature_colors([stretch.frames.temperature_K for stretch in stretches])
    label = "MSD" if directions == "xyz" else f"MSD along {directions}"
    table: dict[str, Any] = {}
    shown: set[str] = set()
    with new_axes("time lag (ps)", f"{label} of {symbol} (Å²)", "Mean squared displacement", SINGLE) as (
        figure,
        axes,
    ):
        if len(stretches) == 1 and stretches[0].diffusivity[symbol].value is not None:
            shade_window(axes, stretches[0].diffusivity[symbol].window_ps)
        for number, (stretch, color) in enumerate(zip(stretches, colors, strict=True)):
            msd, result = stretch.msd[symbol], stretch.diffusivity[symbol]
            name = stretch_label(stretch) or symbol
            moved = msd.along(directions)
            # replicas share a colour and one line of the legend
            is_first = name not in shown
            shown.add(name)
            plot_msd(axes, msd, result, moved, color, name if is_first else "_")
            table[f"lag_ps {number} {name}"] = msd.lags_ps
            table[f"msd_A2 {number} {name}"] = moved
        mark_hop(axes, stretches[0].diffusivity[symbol].hop_distance_A)
        axes.legend(loc="lower right")
        path = save_figure(figure, folder / f"msd_{symbol}.png", table)
    caption = (
        f"Mean squared displacement of {symbol} from every time origin. Strong lines: the window of the fit; "
        "dashed: the fitted lines; fine dots: no diffusive window, only a bound follows."
    )
    return FigureBlock(path, caption)


def _arrhenius_figure(transport: Transport, symbol: str, folder: Path) -> FigureBlock:
    points = [
        (stretch.frames.temperature_K, stretch.diffusivity[symbol])
        for stretch in transport.stretches
        if stretch.frames.temperature_K is not None
    ]
    fit = transport.arrhenius[symbol]
    with new_axes("1000 / T (1/K)", f"D of {symbol} (cm²/s)", "", SINGLE) as (figure, axes):
        plot_arrhenius(axes, points, fit)
        table: dict[str, list[float | None]] = {
            "temperature_K": [temperature for temperature, _ in points],
            "D_cm2_per_s": [result.value for _, result in points],
            "error_cm2_per_s": [result.error for _, result in points],
            "upper_bound_cm2_per_s": [result.upper_bound for _, result in points],
        }
        path = save_figure(figure, folder / f"arrhenius_{symbol}.png", table)
    shown = "The line is the weighted fit with its standard error." if not fit.reason else "No line is drawn."
    caption = f"Diffusivity of {symbol} against inverse temperature; arrows down are upper bounds. {shown}"
    return FigureBlock(path, caption)


def _table(transport: Transport) -> TableBlock:
    rows = [
        _row(symbol, stretch_label(stretch), result, stretch.conductivity.get(symbol))
        for stretch in transport.stretches
        for symbol, result in stretch.diffusivity.items()
    ]
    rows += [
        _row(symbol, f"{temperature:.0f} K, {result.num_replicas} runs", result, None)
        for symbol, pooled in transport.pooled.items()
        for temperature, result in pooled.items()
    ]
    header = ["species", "run", "D (cm²/s)", "σ (S/cm)", "lags (ps)", "log slope", "N_eff", "a (Å)"]
    return TableBlock(header, rows, "Diffusivity and Nernst-Einstein conductivity with one standard error.")


def _row(symbol: str, run: str, result: Diffusivity, conductivity: Conductivity | None) -> list[str | None]:
    start, end = result.window_ps
    return [
        symbol,
        run,
        _text(result),
        _text(conductivity) if conductivity else None,
        f"{start:.3g} – {end:.3g}",
        None if result.log_slope is None else f"{result.log_slope:.2f}",
        f"{result.num_hops:.0f}",
        f"{result.hop_distance_A:.2f}",
    ]


def _text(result: Any) -> str:
    """A value with its error, or a bound, in scientific notation."""
    if result.value is None:
        return f"< {scientific(result.upper_bound)}"
    return with_error(result.value, result.error)
