"""`mlip analyze`: trajectories, or structures and a potential, become results.json, figures and a report."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from ase import Atoms
from omegaconf import DictConfig

from md.analysis import Frames, RadialDistribution, compute_rdf, load_frames
from md.analysis.kymograph import Layers
from md.analysis.structure import analyze_structure
from md.analysis.study import compare_glasses
from md.analysis.transport import Transport, analyze_transport
from md.energetics.material import Material, open_material
from md.energetics_analyses import ENERGETICS, run_energetics
from md.report.chapter import Analysis, Entries, legend_label
from md.report.energetics_methods import describe_energetics
from md.report.methods import methods_section
from md.report.picture import picture_figure
from md.report.protocol import protocol_section, read_protocol_record
from md.report.scene import scene_section
from md.report.structure import structure_entries, structure_section
from md.report.study import study_section
from md.report.summary import DETAILS, summary_section
from md.report.transport import collect_warnings, transport_highlights, transport_section
from md.report.transport_entries import transport_entries
from md.stretches import load_stretches
from md.structure_analyses import STRUCTURE_ANALYSES, WITHOUT_STRETCHES, Subject
from md.trajectory_layout import ALL, OFTEN
from md.transport_analyses import TRANSPORT_PARTS, Part
from mlip.app import application
from mlip.errors import ConfigError
from mlip.inputs import as_names, resolve_input
from mlip.provenance import summarize_provenance
from mlip.report.html import Highlight, Section, write_report
from mlip.runs import Run

logger = logging.getLogger(__name__)

ANALYSES = ("protocol", "structure", "diffusion", *TRANSPORT_PARTS, *STRUCTURE_ANALYSES, *ENERGETICS)
_H5MD = ".h5"


def run_analyze(config: DictConfig, run: Run) -> None:
    """Analyse trajectories or structures, and write results.json, figures and report.html.

    Args:
        config: `conf/analyze.yaml`, resolved.
        run: The run directory.

    Raises:
        ConfigError: Settings that make no sense.
        DataError: A trajectory that cannot be read or is not fit for what is asked.
    """
    paths = [resolve_input(name) for name in as_names(config.trajectory)]
    found = analyze(paths, config, run.path / "figures")
    results = run.path / "results.json"
    results.write_text(json.dumps(found.entries, indent=2, allow_nan=False))
    pages = {"report.html": found.sections}
    if found.scene is not None:
        pages["interactive.html"] = [found.scene, *found.sections]
    title, provenance = config.title or _title(paths), summarize_provenance(run.path)
    described = _describe([*paths, *(Path(name) for name in as_names(config.structure))])
    for name, sections in pages.items():
        page = run.path / name
        write_report(page, title, described, sections, found.highlights, provenance)
        logger.info("page %s", page)
    logger.info("results %s", results)


def analyze(paths: Sequence[Path], config: DictConfig, folder: Path) -> Analysis:
    """Analyse trajectories; figures go into `folder`, nothing else is written.

    Args:
        paths: The trajectories.
        config: The keys of `conf/analyze.yaml`.
        folder: Where figures, their CSV and methods.bib go.
    """
    chosen = _chosen_analyses(config)
    needed = config.interactive or set(chosen) - {*WITHOUT_STRETCHES, *ENERGETICS}
    stretches = load_stretches(paths, config) if needed else []
    material = cache(lambda: open_material(config, folder))
    # shared by the analyses that ask for it, and measured once
    transport = cache(lambda: _measure_transport(stretches, config))
    layers = Layers(config.axis, float(config.layer_A))
    subject = Subject(paths, stretches, folder, as_names(config.species), layers)
    parts = {
        "protocol": lambda: _analyze_protocol(paths, folder),
        "structure": lambda: _analyze_structure(stretches, config, folder),
        "diffusion": lambda: _analyze_diffusion(transport(), config, folder),
    } | {
        name: partial(_analyze_part, part, transport, config, folder)
        for name, part in TRANSPORT_PARTS.items()
    }
    parts |= {name: partial(_analyze_energies, name, material) for name in ENERGETICS}
    entries: Entries = {}
    sections: list[Section] = []
    highlights: list[Highlight] = []
    for name in chosen:
        part = parts[name]() if name in parts else STRUCTURE_ANALYSES[name](subject)
        entries |= part.entries
        sections += part.sections
        highlights += part.highlights
    for name, entry in entries.items():
        if not name.startswith(DETAILS):
            logger.info("%s", _line(name, entry))
    energetics = describe_energetics(chosen, material()) if set(chosen) & set(ENERGETICS) else []
    methods = methods_section(paths, stretches, chosen, folder, energetics)
    scene = scene_section(stretches[-1]) if config.interactive else None
    return Analysis(entries, [summary_section(entries), *sections, methods], highlights, scene)


def _chosen_analyses(config: DictConfig) -> list[str]:
    chosen = as_names(config.analysis)
    unknown = [name for name in chosen if name not in ANALYSES]
    if unknown or not chosen:
        raise ConfigError(f"found analysis={chosen}; expected some of {', '.join(ANALYSES)}")
    if config.trajectory is None and set(chosen) - set(ENERGETICS):
        wanted = ", ".join(name for name in chosen if name not in ENERGETICS)
        raise ConfigError(f"found no trajectory for analysis=[{wanted}]; expected trajectory=FILE")
    if config.particles not in (ALL, OFTEN):
        raise ConfigError(f"found particles={config.particles}; expected {ALL} or {OFTEN}")
    if config.particles == OFTEN and set(chosen) & {"structure", *STRUCTURE_ANALYSES}:
        raise ConfigError(f"particles={OFTEN} holds some species only; expected analysis=[diffusion] with it")
    if not config.directions or set(config.directions) - set("xyz"):
        raise ConfigError(f"found directions={config.directions}; expected some of x, y, z, such as xy")
    if not isinstance(config.interactive, bool):
        raise ConfigError(f"found interactive={config.interactive}; expected true or false")
    if config.interactive and config.trajectory is None:
        raise ConfigError(
            "found interactive=true and no trajectory; expected trajectory=FILE, whose atoms to show"
        )
    if config.axis not in ("a", "b", "c"):
        raise ConfigError(f"found axis={config.axis}; expected the lattice vector a, b or c")
    for key in ("timestep_fs", "hop_distance_A", "charge", "r_max", "layer_A", "grid_A", "hop_window_ps"):
        value = config[key]
        if not isinstance(value, int | float | None) or (
            key != "charge" and value is not None and value <= 0
        ):
            raise ConfigError(f"found {key}={value}; expected a number above zero")
    return chosen


def _analyze_structure(stretches: Sequence[Frames], config: DictConfig, folder: Path) -> Analysis:
    results = analyze_structure(stretches, config.r_max)
    reference: Mapping[tuple[str, str], RadialDistribution] = {}
    label = "reference"
    if config.reference is not None:
        path = resolve_input(config.reference)
        (frames, *_) = load_frames(path)
        reference, label = compute_rdf(frames, r_max=config.r_max), f"reference ({path.name})"
    section = structure_section(results, folder, reference, label)
    picture = picture_figure(_first_and_last(stretches), folder, "First and last frame that was analysed.")
    section = replace(section, figures=[picture, *section.figures])
    return Analysis(structure_entries(results), [section], [])


def _measure_transport(stretches: Sequence[Frames], config: DictConfig) -> Transport:
    species = as_names(config.species) or None
    return analyze_transport(stretches, species, config.hop_distance_A, config.directions, config.charge)


def _analyze_part(
    part: Part, transport: Callable[[], Transport], config: DictConfig, folder: Path
) -> Analysis:
    return part(transport(), config, folder)


def _analyze_diffusion(transport: Transport, config: DictConfig, folder: Path) -> Analysis:
    for warning in collect_warnings(transport):
        logger.warning(warning)
    sections = [transport_section(transport, folder, config.directions)]
    if glasses := compare_glasses(transport, config.directions):
        sections.insert(0, study_section(glasses, transport, folder))
    return Analysis(transport_entries(transport), sections, transport_highlights(transport))


def _first_and_last(stretches: Sequence[Frames]) -> dict[str, Atoms]:
    names = [legend_label(frames, number) for number, frames in enumerate(stretches)]
    return {f"first of {names[0]}": stretches[0].atoms(0), f"last of {names[-1]}": stretches[-1].atoms(-1)}


def _analyze_protocol(paths: Sequence[Path], folder: Path) -> Analysis:
    """One chapter for each run of ours; other files bring no table of temperatures and pressures."""
    ours = [path for path in paths if path.suffix == _H5MD and path.with_name("thermo.csv").exists()]
    names = ["protocol"] if len(ours) == 1 else [f"protocol_{number}" for number in range(1, len(ours) + 1)]
    sections = [
        protocol_section(read_protocol_record(path), folder, name)
        for path, name in zip(ours, names, strict=True)
    ]
    return Analysis({}, sections, [])


def _analyze_energies(name: str, material: Callable[[], Material]) -> Analysis:
    found = run_energetics(name, material())
    for section in found.sections:
        for warning in section.warnings:
            logger.warning(warning)
    return found


def _describe(paths: Sequence[Path]) -> str:
    names = ", ".join(
        path.name if path.parent.name == "" else f"{path.parent.name}/{path.name}" for path in paths
    )
    return f"Analysed: {names}. Errors are one standard error, unless a chapter says otherwise."


def _title(paths: Sequence[Path]) -> str:
    if not paths:
        return "Energies of a material"
    return "Analysis of a trajectory" if len(paths) == 1 else f"A study of {len(paths)} trajectories"


def _line(name: str, entry: Mapping[str, Any]) -> str:
    if entry["value"] is None:
        bound = entry.get("upper_bound")
        return f"{name}: {entry['method']}" if bound is None else f"{name} < {bound:.3g} {entry['unit']}"
    error = "" if entry["error"] is None else f" +- {entry['error']:.2g}"
    return f"{name} = {entry['value']:.4g}{error} {entry['unit']}"


main = application(
    "analyze",
    run_analyze,
    inputs=("trajectory", "structure", "crystal", "reference", "potential"),
    mutable=("device", "kernel"),
)

if __name__ == "__main__":
    main()
