"""Statistics of training frames that a potential is scaled by: computed once, cached, kept in its file."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mlip.data.dataset import GraphDataset, data_hash
from mlip.data.graph import LabelledGraph
from mlip.data.isolated import find_isolated_energies
from mlip.errors import DataError
from mlip.whole_files import whole_file

logger = logging.getLogger(__name__)

STATISTICS_VERSION = 2  # part of the key of a cached file


@dataclass(frozen=True)
class Statistics:
    """Numbers that describe a training set.

    Attributes:
        species: Chemical symbols, sorted by atomic number.
        r_max: Cutoff radius, A.
        isolated_energies: Energy of a lone atom of each species, eV.
        isolated_energies_from: How they were found.
        avg_num_neighbors: Mean number of neighbors within `r_max`, lone atoms left out.
        num_neighbors_by_species: The same, over the centres of each species.
        forces_rms: Root mean square of all force components, eV/A.
        forces_rms_by_species: The same, of the atoms of each species.
        energy_residual_rms: RMS of (energy - isolated energies) per atom about its mean, eV.
        shortest_distances: Shortest distance of each pair of species within `r_max`, A; keys "Li-S".
        num_frames: Number of frames.
        data_hash: Hash of the frames (`mlip.data.dataset.data_hash`).
    """

    species: tuple[str, ...]
    r_max: float
    isolated_energies: tuple[float, ...]
    isolated_energies_from: str
    avg_num_neighbors: float
    num_neighbors_by_species: dict[str, float]
    forces_rms: float
    forces_rms_by_species: dict[str, float]
    energy_residual_rms: float
    shortest_distances: dict[str, float]
    num_frames: int
    data_hash: str

    def to_dict(self) -> dict[str, Any]:
        """Turn into what JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Statistics":
        """Restore from `to_dict`, also after a trip through JSON.

        Args:
            values: All fields by name.

        Returns:
            The statistics.

        Raises:
            DataError: A field is missing.
        """
        missing = [field.name for field in fields(cls) if field.name not in values]
        if missing:
            raise DataError(
                f"Statistics lack {', '.join(missing)}; compute them again from the training frames."
            )
        known = {field.name: values[field.name] for field in fields(cls)}
        known["species"] = tuple(known["species"])
        known["isolated_energies"] = tuple(known["isolated_energies"])
        return cls(**known)


def compute_statistics(dataset: GraphDataset, cache: Path | None = None) -> Statistics:
    """Compute the statistics of training frames, or take them from the cache.

    Args:
        dataset: The training frames and their neighbors.
        cache: Folder for JSON files keyed by the hash of frames and cutoff; no cache by default.

    Returns:
        The statistics.

    Raises:
        DataError: A frame lacks a label, or no atom has a neighbor.
    """
    frames_hash = data_hash(dataset.frames)
    if cache is None:
        return _compute(dataset, frames_hash)
    settings = f"{STATISTICS_VERSION} {frames_hash} {dataset.r_max!r} {dataset.edge_cutoffs!r}"
    path = cache / f"statistics-{hashlib.sha256(settings.encode()).hexdigest()[:16]}.json"
    if path.is_file():
        logger.info("Statistics of the training frames from %s", path)
        return Statistics.from_dict(json.loads(path.read_text()))
    statistics = _compute(dataset, frames_hash)
    cache.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as unfinished:
        unfinished.write_text(json.dumps(statistics.to_dict(), indent=1))
    return statistics


def _compute(dataset: GraphDataset, frames_hash: str) -> Statistics:
    graphs = [dataset[index] for index in range(len(dataset))]
    if not any(graph.edge_index.shape[1] for graph in graphs):
        raise DataError(f"No atom has a neighbor within {dataset.r_max} A; expected some: raise model.r_max.")
    whole = [graph for graph in graphs if bool(graph.energy.isfinite())]
    counts, energies = _compositions(whole, len(dataset.species))
    lone = _is_lone(whole)
    isolated = find_isolated_energies(counts, energies, lone, dataset.species)
    residuals = (energies - counts @ isolated.energies) / counts.sum(axis=1)
    neighbors, centres = _neighbor_counts(graphs, len(dataset.species))
    squares = _force_squares(list(compress(graphs, ~_is_lone(graphs))), len(dataset.species))
    return Statistics(
        species=dataset.species,
        r_max=dataset.r_max,
        isolated_energies=isolated.energies,
        isolated_energies_from=isolated.source,
        avg_num_neighbors=float(neighbors.sum() / centres.sum()),
        num_neighbors_by_species=_means(neighbors, centres, dataset.species),
        forces_rms=float(np.sqrt(squares[0].sum() / squares[1].sum())),
        forces_rms_by_species={k: v**0.5 for k, v in _means(*squares, dataset.species).items()},
        energy_residual_rms=float(np.std(residuals[~lone])),
        shortest_distances=_shortest_distances(graphs, dataset.species),
        num_frames=len(graphs),
        data_hash=frames_hash,
    )


def _compositions(
    graphs: Sequence[LabelledGraph], num_species: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Count the atoms of each species, (frames, species), and collect the energies, (frames,) in eV."""
    counts = [np.bincount(graph.species.numpy(), minlength=num_species) for graph in graphs]
    energies = [float(graph.energy) for graph in graphs]
    return np.array(counts, dtype=np.float64), np.array(energies)


def _neighbor_counts(
    graphs: Sequence[LabelledGraph], num_species: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Edges and atoms of each species as centre, (species,), in structures that have edges."""
    edges, atoms = np.zeros(num_species), np.zeros(num_species)
    for graph in graphs:
        if graph.edge_index.shape[1]:
            centres = graph.species[graph.edge_index[0]].numpy()
            edges += np.bincount(centres, minlength=num_species)
            atoms += np.bincount(graph.species.numpy(), minlength=num_species)
    return edges, atoms


def _force_squares(
    graphs: Sequence[LabelledGraph], num_species: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sums of squared force components, (eV/A)^2, and their numbers, (species,)."""
    squares, counts = np.zeros(num_species), np.zeros(num_species)
    for graph in graphs:
        known = graph.forces.isfinite().all(dim=1)
        species = graph.species[known].numpy()
        of_atoms = graph.forces[known].square().sum(dim=1).numpy()
        squares += np.bincount(species, weights=of_atoms, minlength=num_species)
        counts += 3.0 * np.bincount(species, minlength=num_species)
    return squares, counts


def _means(
    sums: NDArray[np.float64], counts: NDArray[np.float64], species: Sequence[str]
) -> dict[str, float]:
    """Mean per species; where it is zero or unknown, the mean over all, for nothing divides by it else."""
    overall = sums.sum() / counts.sum()
    return {
        symbol: float(total / count) if count and total > 0.0 else float(overall)
        for symbol, total, count in zip(species, sums, counts, strict=True)
    }


def _is_lone(graphs: Sequence[LabelledGraph]) -> NDArray[np.bool_]:
    """Tell which frames are one atom that sees no other."""
    return np.array([len(graph.positions) == 1 and graph.edge_index.shape[1] == 0 for graph in graphs])


def _shortest_distances(graphs: Sequence[LabelledGraph], species: tuple[str, ...]) -> dict[str, float]:
    """Find the shortest distance of each pair of species, A."""
    shortest = torch.full((len(species) ** 2,), torch.inf, dtype=torch.float64)
    for graph in graphs:
        i, j = graph.edge_index
        vectors = graph.positions[j] - graph.positions[i] + graph.edge_shift @ graph.cell[0]
        pair = graph.species[i] * len(species) + graph.species[j]
        shortest.scatter_reduce_(0, pair, vectors.norm(dim=1), reduce="amin")
    table = shortest.reshape(len(species), len(species))
    return {
        f"{species[a]}-{species[b]}": float(table[a, b])
        for a in range(len(species))
        for b in range(a, len(species))
        if torch.isfinite(table[a, b])
    }
