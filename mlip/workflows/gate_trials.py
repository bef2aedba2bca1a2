"""How each gate gets what it judges: structures and runs from md, potentials of parts from train."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import ase.io

from md.analysis import load_frames
from md.gates.energy import EnergyLimits, check_energy
from md.gates.equation_of_state import CrystalLimits, check_equation_of_state, group_crystals
from md.gates.pair_curves import PairLimits, check_pair_curves
from md.gates.rdf import RdfLimits, check_rdf
from md.gates.stability import StabilityLimits, check_stability
from mlip.data.read import read_frames
from mlip.deploy import Potential
from mlip.deploy.gates import GateResult
from mlip.errors import DataError
from mlip.inputs import as_names, resolve_input
from mlip.models.build import config_to_dict
from mlip.settings import build_settings
from mlip.workflows.gate_subject import Subject, gate_settings, gate_values
from mlip.workflows.stage import as_overrides, run_verb
from train.cross_validation import CrossValidation, choose_folds, judge_folds


def what_is_missing(name: str, subject: Subject) -> str:
    """Why a gate cannot be tried, and which key would help; empty if it can."""
    gate = subject.config.gate
    if name == "equation_of_state" and gate.equation_of_state.crystals is None:
        return "it needs crystals, gate.equation_of_state.crystals=FILE (docs/gates.md)"
    if name == "rdf" and gate.rdf.trajectory is None:
        return "it needs reference dynamics, gate.rdf.trajectory=FILE"
    if name == "cross_validation" and gate.cross_validation.train is None:
        return "it trains potentials: say how long, gate.cross_validation.train={trainer.max_epochs:100}"
    if name == "npt" and subject.calculator.trained_on_stress is False:
        return "no stress was in the training data: label some, and train on it"
    return ""


def _try_pair_curves(subject: Subject) -> GateResult:
    limits = gate_settings(subject.config, "pair_curves", PairLimits)
    return check_pair_curves(subject.calculator, subject.calculator.species, limits)


def _try_equation_of_state(subject: Subject) -> GateResult:
    values = gate_values(subject.config, "equation_of_state")
    file, labelling = values.pop("crystals"), as_overrides(values.pop("label"))
    limits = build_settings(CrystalLimits, values, "gate.equation_of_state")
    if labelling:
        file = _label_volumes(file, labelling, subject.folder / "equation_of_state")
    return check_equation_of_state(subject.calculator, group_crystals(read_frames(as_names(file))), limits)


def _label_volumes(crystals: str, labelling: Sequence[str], folder: Path) -> Path:
    """Seven volumes of each crystal, labelled as `mlip label` is told to."""
    volumes = ["builder=volumes", "builder.relative_volumes=[0.88,1.12]", "builder.count=7"]
    run_verb(["build", *volumes, f"structure={crystals}"], folder / "volumes")
    run_verb(
        ["label", *labelling, f"structures={folder / 'volumes' / 'structures.extxyz'}"], folder / "label"
    )
    return folder / "label" / "labelled.extxyz"


def _try_energy(subject: Subject) -> GateResult:
    held = subject.hold("energy", subject.dynamics.stage("nve"), subject.start())
    return check_energy(held, gate_settings(subject.config, "energy", EnergyLimits))


def _try_stability(ensemble: str, subject: Subject) -> GateResult:
    held = subject.hold(ensemble, subject.dynamics.stage(ensemble), subject.start())
    return check_stability(held, gate_settings(subject.config, "stability", StabilityLimits))


def _try_rdf(subject: Subject) -> GateResult:
    """A run in the cell of the reference, at its temperature if it is known."""
    values = gate_values(subject.config, "rdf")
    (reference, *others) = load_frames(resolve_input(values.pop("trajectory")))
    if others:
        raise DataError(
            f"found {1 + len(others)} stages in gate.rdf.trajectory; expected one, at one temperature"
        )
    stage = subject.dynamics.stage("nvt", reference.temperature_K)
    held = subject.hold("rdf", stage, reference.atoms(0))
    return check_rdf(held.frames, reference, build_settings(RdfLimits, values, "gate.rdf"))


def _try_cross_validation(subject: Subject) -> GateResult:
    values = gate_values(subject.config, "cross_validation")
    asked = as_overrides(values.pop("train"))
    limits = build_settings(CrossValidation, values, "gate.cross_validation")
    potential = Potential.load(subject.config.potential)
    folder = subject.folder / "cross_validation"
    folder.mkdir(parents=True, exist_ok=True)
    folds = choose_folds(subject.frames, limits.folds, subject.config.seed)
    errors = []
    for fold in range(limits.folds):
        files = {}
        for name, members in (("train", folds != fold), ("test", folds == fold)):
            files[name] = folder / f"{name}_{fold}.extxyz"
            chosen = [atoms for atoms, is_member in zip(subject.frames, members, strict=True) if is_member]
            ase.io.write(files[name], chosen)
        data = [f"data.{name}={file}" for name, file in files.items()]
        command = ["train", *data, *_architecture(potential, asked), *asked]
        run_verb(command, folder / str(fold))
        errors.append(json.loads((folder / str(fold) / "errors.json").read_text()))
    whole = json.loads((subject.folder.parent / "errors.json").read_text())
    return judge_folds(errors, whole, limits)


def _architecture(potential: Potential, asked: Sequence[str]) -> list[str]:
    """Overrides of `mlip train` for the architecture of a potential, but for what is asked for otherwise."""
    if any(word.startswith("model=") for word in asked):
        return []
    numbers = config_to_dict(potential.config)
    name = numbers.pop("model")
    return [f"model={name}", *(f"model.{key}={json.dumps(value)}" for key, value in numbers.items())]


TRIALS: Mapping[str, Callable[[Subject], GateResult]] = {
    "pair_curves": _try_pair_curves,
    "equation_of_state": _try_equation_of_state,
    "energy": _try_energy,
    "nvt": partial(_try_stability, "nvt"),
    "npt": partial(_try_stability, "npt"),
    "rdf": _try_rdf,
    "cross_validation": _try_cross_validation,
}
