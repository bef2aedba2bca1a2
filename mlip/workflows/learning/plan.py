"""What `mlip learn` is asked to do: explorers, thresholds, sub-cells, training and when to end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra import compose
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from md.protocols.read import read_protocol
from md.protocols.stages import PlannedStage, plan_stages
from md.start import read_structures
from mlip.errors import ConfigError
from mlip.inputs import resolve_input
from mlip.settings import build_settings
from mlip.workflows.stage import as_job, as_overrides

# Keys of an explorer that are set in each stage of its protocol that has them.
_STAGE_KEYS = ("temperature_K", "duration_ps", "pressure_GPa", "every_ps")


@dataclass(frozen=True)
class Explorer:
    """Dynamics that look for what a potential does not know.

    Attributes:
        structure: What they start from, anything ASE reads.
        protocol: Of `mlip md`.
        index: Which frame of the structure file.
        engine: Of `mlip md`.
        temperature_K, duration_ps, pressure_GPa, every_ps: Of each stage of the protocol; null leaves those
            of the protocol.
        overrides: More of `mlip md`, as on its command line.
        device: Of its dynamics; null: that of the loop.
        job: `launcher` of Hydra and its options, for a job of its own; null: a process beside the loop.
    """

    structure: str
    protocol: str = "nvt"
    index: int | None = None
    engine: str = "ase"
    temperature_K: float | None = None
    duration_ps: float | None = None
    pressure_GPa: float | None = None
    every_ps: float | None = None
    overrides: list[str] = field(default_factory=list)
    device: str | None = None
    job: dict[str, object] | None = None

    def words(self) -> list[str]:
        """Overrides of `mlip md` that do not change from generation to generation."""
        words = [f"protocol={self.protocol}", f"engine={self.engine}"]
        stages = _protocol(words[:1])
        for key in _STAGE_KEYS:
            value = getattr(self, key)
            if value is not None:
                words += [f"protocol.{name}.{key}={value}" for name, stage in stages.items() if key in stage]
        index = [] if self.index is None else [f"index={self.index}"]
        return [f"structure={self.structure}", *index, *words, *self.overrides]

    def stages(self) -> list[PlannedStage]:
        """Its protocol, planned.

        Raises:
            ConfigError: It makes no sense.
        """
        return plan_stages(read_protocol(_protocol(self.words())))


@dataclass(frozen=True)
class Thresholds:
    """Extrapolation grades: `auto` is the potential's own; a list has one a generation, the last one stays.

    Attributes:
        select: Frames above it are candidates.
        stop: An explorer stops above it.
    """

    select: str | float | list[float] = "auto"
    stop: str | float | list[float] = "auto"

    def at(self, generation: int) -> dict[str, str | float]:
        """What `grade` of `mlip md` is told in a generation, from 1 on."""
        return {"mark": _at(self.select, generation), "stop": _at(self.stop, generation)}


@dataclass(frozen=True)
class Subcells:
    """How frames are cut that are too large to label.

    Attributes:
        above: Frames of more atoms are cut; null cuts none.
        num_atoms, pad_A, buffer_A, bonds: As of `mlip build builder=subcells`.
    """

    above: int | None = 200
    num_atoms: int = 100
    pad_A: float = 2.0
    buffer_A: float = 0.0
    bonds: list[list[str | float]] = field(default_factory=list)


@dataclass(frozen=True)
class Training:
    """How potentials are trained.

    Attributes:
        overrides: Of `mlip train`, each time.
        finetune: Of `mlip train`, beside them, when it goes on with the potential that there is.
        scratch_every: From random weights in every so-manieth generation; null: only where fine-tuning has
            made validation worse.
        valid_fraction: Share of new frames that is held out, for good.
        device, job: As of an explorer.
    """

    overrides: list[str] = field(default_factory=list)
    finetune: list[str] = field(default_factory=list)
    scratch_every: int | None = 5
    valid_fraction: float = 0.1
    device: str | None = None
    job: dict[str, object] | None = None


@dataclass(frozen=True)
class Budget:
    """When to end although the potential still extrapolates; null has no limit.

    Attributes:
        generations: So many.
        labels: So many frames computed.
        per_generation: The most frames labelled in a generation.
        hours: Of all sessions together.
    """

    generations: int | None = 20
    labels: int | None = None
    per_generation: int | None = 20
    hours: float | None = None


@dataclass(frozen=True)
class Plan:
    """All of it."""

    explorers: Mapping[str, Explorer]
    grade: Thresholds
    subcells: Subcells
    training: Training
    budget: Budget
    gates: Mapping[str, Any] | None
    at_once: int
    device: str
    seed: int


def read_plan(config: DictConfig) -> Plan:
    """Check the settings of `conf/learn.yaml` before anything is paid.

    Raises:
        ConfigError: One makes no sense.
        DataError: A structure cannot be read.
    """
    content: Any = OmegaConf.to_container(config, resolve=True)
    if type(content["at_once"]) is not int or content["at_once"] < 1:
        raise ConfigError(f"found at_once={content['at_once']}; expected a whole number from 1")
    shared = {"structure": content["structure"], **content["explorer"]}
    named = {name: keys or {} for name, keys in (content["explorers"] or {}).items()} or {"explorer": {}}
    explorers = {
        str(name): build_settings(Explorer, _known({**shared, **keys}), f"explorers.{name}")
        for name, keys in named.items()
    }
    for explorer in explorers.values():
        explorer.stages()
        as_job(["md"], explorer.job)
        read_structures(resolve_input(explorer.structure), explorer.index, several=False)
    grade = build_settings(Thresholds, content["grade"], "grade")
    training = build_settings(Training, content["train"], "train")
    as_job(["train"], training.job)
    if content["gates"] is not None:
        _compose("eval", as_overrides(content["gates"]), "gates=")
    for key in ("select", "stop"):
        _require_threshold(key, getattr(grade, key))
    return Plan(
        explorers=explorers,
        grade=grade,
        subcells=build_settings(Subcells, content["subcells"], "subcells"),
        training=training,
        budget=build_settings(Budget, content["budget"], "budget"),
        gates=content["gates"],
        at_once=content["at_once"],
        device=content["device"],
        seed=content["seed"],
    )


def _compose(verb: str, words: Sequence[str], owner: str) -> DictConfig:
    """The config of a verb with these overrides.

    Raises:
        ConfigError: The verb would not take them.
    """
    try:
        return compose(verb, list(words))
    except (HydraException, OmegaConfBaseException) as error:
        why = " ".join(str(error).split())
        raise ConfigError(
            f"found {owner} with {' '.join(words)} ({why}); expected what mlip {verb} takes"
        ) from None


def _protocol(words: Sequence[str]) -> dict[str, Any]:
    """The protocol of `mlip md` with these overrides."""
    protocol: Any = OmegaConf.to_container(_compose("md", words, "an explorer").protocol, resolve=True)
    return protocol


def _known(keys: Mapping[str, Any]) -> Mapping[str, Any]:
    if keys["structure"] is None:
        raise ConfigError("found no structure; expected one to explore from: structure=FILE")
    return keys


def _require_threshold(key: str, value: Any) -> None:
    numbers = value if isinstance(value, list) else [value]
    if value != "auto" and not (numbers and all(not isinstance(n, str) and n > 0 for n in numbers)):
        raise ConfigError(f"found grade.{key}={value}; expected auto, a number above zero or a list of them")


def _at(value: str | float | list[float], generation: int) -> str | float:
    return value[min(generation, len(value)) - 1] if isinstance(value, list) else value
