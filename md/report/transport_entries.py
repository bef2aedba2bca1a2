"""Entries of transport in results.json."""

from typing import Any

from md.analysis.transport import Transport
from md.report.entries import entry, join_name


def transport_entries(transport: Transport) -> dict[str, dict[str, Any]]:
    """Entries of results.json: diffusivity and conductivity of each stretch, activation energy, D and 300 K.

    An entry is called `diffusivity` when there is one species and one stretch, else
    `diffusivity.<species>.<stretch>` with the parts that tell entries apart.
    """
    entries: dict[str, dict[str, Any]] = {}
    several_species, several = len(transport.species) > 1, len(transport.stretches) > 1
    for number, stretch in enumerate(transport.stretches):
        for symbol, result in stretch.diffusivity.items():
            label = (stretch.frames.label or str(number)) if several else ""
            parts = (symbol if several_species else "", label)
            context: dict[str, Any] = {
                "species": symbol,
                "stretch": stretch.frames.label,
                "temperature_K": stretch.frames.temperature_K,
            }
            entries[join_name("diffusivity", *parts)] = entry(result, **context)
            if symbol in stretch.conductivity:
                entries[join_name("conductivity", *parts)] = entry(stretch.conductivity[symbol], **context)
    for symbol, pooled in transport.pooled.items():
        for temperature, result in pooled.items():
            parts = (symbol if several_species else "", f"{temperature:.0f}K")
            entries[join_name("diffusivity_replicas", *parts)] = entry(
                result, species=symbol, temperature_K=temperature
            )
    for symbol in transport.arrhenius:
        entries |= _arrhenius_entries(transport, symbol, symbol if several_species else "")
    return entries


def _arrhenius_entries(transport: Transport, symbol: str, part: str) -> dict[str, dict[str, Any]]:
    fit = transport.arrhenius[symbol]
    entries: dict[str, dict[str, Any]] = {
        join_name("activation_energy", part): {
            "value": fit.activation_energy_eV,
            "unit": "eV",
            "error": fit.error_eV,
            "interval": None if fit.interval_eV is None else list(fit.interval_eV),
            "method": fit.method,
            "species": symbol,
            "chi_squared": fit.chi_squared,
            "num_glasses": fit.num_glasses,
            "spread_of_glasses": fit.spread_of_glasses,
            "warnings": list(fit.warnings),
        }
    }
    if symbol not in transport.extrapolated:
        return entries
    room = transport.extrapolated[symbol]
    context = {"species": symbol, "temperature_K": room.temperature_K, "log_error": room.log_error}
    entries[join_name("diffusivity_300K", part)] = {
        "value": room.value,
        "unit": room.unit,
        "error": room.error,
        "interval": list(room.interval),
        "method": room.method,
    } | context
    if room.conductivity is not None and room.conductivity_interval is not None:
        entries[join_name("conductivity_300K", part)] = {
            "value": room.conductivity,
            "unit": "S/cm",
            "error": room.conductivity_error,
            "interval": list(room.conductivity_interval),
            "method": room.method,
        } | context
    return entries
