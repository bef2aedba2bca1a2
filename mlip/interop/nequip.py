"""The verb `mlip import`: from a file of nequip to a `.mlip` potential with the same numbers."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from torch import Tensor

from mlip.app import application
from mlip.deploy.potential import DTYPES, Potential
from mlip.errors import ConfigError, PotentialError
from mlip.inputs import resolve_input, sha256
from mlip.interop.allegro_weights import allegro_weights
from mlip.interop.nequip_config import read_config, read_types
from mlip.interop.nequip_files import NequIPFile, parse_version, read_nequip_file
from mlip.interop.nequip_species import sort_types
from mlip.interop.nequip_weights import nequip_weights, scale_shift_weights
from mlip.interop.reference_structure import build_reference_structure
from mlip.models.allegro import AllegroConfig
from mlip.models.build import name_of
from mlip.models.config import ModelConfig
from mlip.models.nequip import NequIPConfig
from mlip.models.normalization import Normalization
from mlip.runs import Run

logger = logging.getLogger(__name__)

NEWEST = (0, 19)  # of the versions of nequip that the tests compare with
SUFFIX = ".mlip"


def import_nequip(path: str | Path) -> Potential:
    """Read a model of nequip's, NequIP or Allegro, as a potential with the same numbers.

    Nothing in the file is executed, and nequip need not be installed.

    Args:
        path: A checkpoint of `nequip-train` or a package of `nequip-package`.

    Raises:
        DataError: There is no such file.
        PotentialError: It cannot be read, or its model is one that ours cannot be.
    """
    source = resolve_input(path)
    file = read_nequip_file(source)
    _check_version(file)
    types = read_types(file.arguments)
    config = read_config(file.arguments)
    state = sort_types(file.state, types.order)
    dtype = file.arguments.get("model_dtype")
    if dtype not in DTYPES:
        raise PotentialError(f"found model_dtype={dtype} in {source}; expected {' or '.join(DTYPES)}")
    normalization = _normalization(config, state, types.species)
    potential = Potential(
        config=config,
        species=types.species,
        dtype=dtype,
        normalization=normalization,
        weights=_weights(state, config),
        reference_structure=build_reference_structure(types.species),
        trained_on_stress=_has_stress(file.loss),
        pair_cutoffs=normalization.edge_cutoffs if config.pair_potential else None,
        data={"imported_from": _about(source, file)},
        statistics={"species": list(types.species), "r_max": config.r_max, **asdict(normalization)},
    )
    potential.force_field()  # refuses weights that do not fit the architecture
    return replace(potential, card=_card(potential))


def _check_version(file: NequIPFile) -> None:
    """Refuse what an older nequip computed in another way, and warn of newer ones than the tests know.

    Until version 0.17 the pair potential ended with the envelope of the network's radial basis.
    """
    exponent = file.arguments.get("polynomial_cutoff_p", 6)
    version = file.versions.get("nequip")
    if file.arguments.get("pair_potential") and parse_version(version) < (0, 18) and exponent != 6:
        raise PotentialError(
            f"found a pair_potential of nequip {version} with polynomial_cutoff_p={exponent}; expected 6, or "
            "nequip 0.18 or newer: this cannot be imported"
        )
    if parse_version(version) > NEWEST:
        logger.warning(
            "made by nequip %s; the import is compared with versions up to %d.%d: check the numbers",
            version,
            *NEWEST,
        )


def _normalization(
    config: ModelConfig, state: Mapping[str, Tensor], species: tuple[str, ...]
) -> Normalization:
    """Scales and shifts as the weights have them: they may have been trained."""
    neighbors = config.avg_num_neighbors
    energies = scale_shift_weights(state, len(species))
    return Normalization(
        avg_num_neighbors=tuple(
            float(neighbors[symbol] if isinstance(neighbors, Mapping) else neighbors)  # type: ignore[arg-type]
            for symbol in species
        ),
        energy_scales=tuple(energies["model.scale_shift.scales"].tolist()),
        energy_shifts=tuple(energies["model.scale_shift.shifts"].tolist()),
        edge_cutoffs=config.edge_cutoffs(species),
    )


def _weights(state: Mapping[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    if isinstance(config, NequIPConfig):
        return nequip_weights(state, config)
    if isinstance(config, AllegroConfig):
        return allegro_weights(state, config)
    raise PotentialError(f"found the architecture {name_of(config)}; expected nequip or allegro")


def _has_stress(loss: Any) -> bool:
    """Whether stress or virial weighs in a loss of nequip's."""
    if not isinstance(loss, Mapping):
        return False
    if "metrics" in loss:  # a MetricsManager, one entry a term
        return any(
            _names_stress(str(term.get("field"))) and bool(term.get("coeff")) for term in loss["metrics"]
        )
    coefficients = loss.get("coeffs")
    if isinstance(coefficients, Mapping):
        return any(_names_stress(str(name)) and bool(value) for name, value in coefficients.items())
    return _names_stress(str(loss.get("_target_")).lower())


def _names_stress(text: str) -> bool:
    return "stress" in text or "virial" in text


def _about(source: Path, file: NequIPFile) -> dict[str, Any]:
    return {
        "file": source.name,
        "sha256": sha256(source),
        "weights": file.weights,
        "epoch": file.epoch,
        "versions": dict(file.versions),
    }


def describe_import(potential: Potential) -> dict[str, str]:
    """What was taken from the file: name -> value, for people."""
    origin = potential.data["imported_from"]
    config, numbers = potential.config, potential.normalization
    versions = ", ".join(f"{name} {version}" for name, version in origin["versions"].items())

    def per_species(values: Sequence[float], unit: str = "") -> str:
        if len(set(values)) == 1:
            return f"{values[0]:.4g}{unit}"
        pairs = zip(potential.species, values, strict=True)
        return ", ".join(f"{symbol} {value:.4g}{unit}" for symbol, value in pairs)

    shortest = min(min(row) for row in numbers.edge_cutoffs)
    return {
        "file": origin["file"],
        "SHA-256": origin["sha256"],
        "made by": versions or "unknown",
        "weights": origin["weights"] + ("" if origin["epoch"] is None else f", epoch {origin['epoch']}"),
        "model": f"{name_of(config)}, {potential.dtype}, "
        f"{sum(tensor.numel() for tensor in potential.weights.values())} numbers",
        "species": " ".join(potential.species),
        "cutoff": f"{config.r_max:g} A"
        + (f", of pairs down to {shortest:g} A" if shortest < config.r_max else ""),
        "neighbors": per_species(numbers.avg_num_neighbors),
        "energy scales": per_species(numbers.energy_scales, " eV"),
        "energy shifts": per_species(numbers.energy_shifts, " eV"),
        "pair potential": "none"
        if config.pair_potential is None
        else f"{config.pair_potential}, up to the cutoff",
        "stress in the loss": "yes" if potential.trained_on_stress else "no",
    }


def _card(potential: Potential) -> str:
    lines = ["# Potential card", "", "Imported from nequip.", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in describe_import(potential).items()]
    lines += [
        "",
        "## Limits",
        "",
        "The file holds neither training data nor errors: measure these with `mlip eval` on your frames.",
        "The reference structure is made up from covalent radii.",
    ]
    if not potential.trained_on_stress:
        lines.append("No stress was in the loss: pressures and constant-pressure runs are extrapolations.")
    return "\n".join(lines) + "\n"


def run_import(config: DictConfig, run: Run) -> None:
    """Import as configured in `conf/import.yaml`."""
    out = Path(config.out) if config.out else run.path / f"potential{SUFFIX}"
    if out.suffix != SUFFIX:
        raise ConfigError(f"found out={out}; expected a file that ends in {SUFFIX}")
    potential = import_nequip(config.nequip)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        potential.save(out)
    except OSError as error:
        raise ConfigError(f"cannot write {out} ({error.strerror}); choose another out=") from None
    taken = describe_import(potential)
    width = max(map(len, taken))
    lines = [f"  {name:<{width}}  {value}" for name, value in taken.items()]
    logger.info("imported\n%s", "\n".join(lines))
    logger.info("wrote %s; next: mlip deploy potential=%s", out, out)


main = application("import", run_import, inputs=("nequip",))
