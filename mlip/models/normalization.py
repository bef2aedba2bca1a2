"""Per-species numbers that a model is built around, found in the data or given by the user."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlip.data.statistics import Statistics
from mlip.errors import ConfigError
from mlip.models.config import PER_TYPE, ModelConfig


@dataclass(frozen=True)
class Normalization:
    """Numbers of T species, sorted by atomic number.

    Attributes:
        avg_num_neighbors: (T,) mean neighbours; scales sums over neighbours.
        energy_scales: (T,) eV per unit of the readout.
        energy_shifts: (T,) energies of isolated atoms, eV.
        edge_cutoffs: (T, T) cutoff of each pair, centre and neighbour, A.
    """

    avg_num_neighbors: tuple[float, ...]
    energy_scales: tuple[float, ...]
    energy_shifts: tuple[float, ...]
    edge_cutoffs: tuple[tuple[float, ...], ...]


def resolve_normalization(config: ModelConfig, statistics: Statistics) -> Normalization:
    """Take what the config gives and the rest from the statistics of the training data.

    Raises:
        ConfigError: A mapping in the config lacks a species or names a strange one.
    """
    species = statistics.species
    neighbors, scales = config.avg_num_neighbors, config.per_type_energy_scales
    if neighbors is None or neighbors == PER_TYPE:
        neighbors = statistics.num_neighbors_by_species if neighbors else statistics.avg_num_neighbors
    if scales is None or scales == PER_TYPE:
        scales = statistics.forces_rms_by_species if scales else statistics.forces_rms
    shifts = config.per_type_energy_shifts
    return Normalization(
        avg_num_neighbors=_per_species("avg_num_neighbors", neighbors, species),
        energy_scales=_per_species("per_type_energy_scales", scales, species),
        energy_shifts=statistics.isolated_energies
        if shifts is None
        else _per_species("per_type_energy_shifts", shifts, species),
        edge_cutoffs=config.edge_cutoffs(species),
    )


def _per_species(
    name: str, value: float | str | Mapping[str, float], species: Sequence[str]
) -> tuple[float, ...]:
    if not isinstance(value, Mapping):
        return (float(value),) * len(species)
    if set(value) != set(species):
        raise ConfigError(
            f"found model.{name} for {', '.join(value)}; expected a number for each of {', '.join(species)}"
        )
    return tuple(float(value[symbol]) for symbol in species)
