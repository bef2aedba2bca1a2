"""The numbers that every architecture has; names as in nequip."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlip.errors import ConfigError
from mlip.nn.mlp import NONLINEARITIES
from mlip.nn.short_range import PAIR_POTENTIALS

PER_TYPE = "per_type"

PerTypeCutoffs = dict[str, float | dict[str, float]]


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What all architectures share.

    Attributes:
        r_max: Cutoff radius in A.
        num_layers: Layers of the network.
        l_max: Highest rotation order of features and harmonics.
        parity: Whether features of both parities are kept.
        num_bessels: Radial basis functions.
        bessel_trainable: Whether their frequencies are trained.
        polynomial_cutoff_p: Exponent of the cutoff envelope.
        readout_mlp_hidden_layers_depth: Hidden layers of the readout; 0 makes it linear.
        readout_mlp_hidden_layers_width: Width of them; null takes the width of what is read out.
        readout_mlp_nonlinearity: silu, mish, gelu, or null for a linear readout of any depth.
        per_edge_type_cutoff: Cutoffs in A below r_max: centre -> cutoff, or centre -> neighbour -> cutoff;
            pairs that are not named keep r_max.
        avg_num_neighbors: Scales sums over neighbours: null takes the mean of the training data, `per_type`
            the mean of each species; a number, or one per species.
        per_type_energy_scales: eV per unit of the readout: null takes the RMS of the training forces,
            `per_type` that of each species; a number, or one per species.
        per_type_energy_shifts: Energies of isolated atoms in eV: null finds them in the training data; or one
            per species.
        per_type_energy_scales_trainable: Whether the scales are trained.
        per_type_energy_shifts_trainable: Whether the shifts are trained.
        pair_potential: `zbl` adds nuclear repulsion, `repulsion` also that of closed shells, below the
            shortest distance of each pair in the training data, where the model would extrapolate; null adds
            nothing.

    Raises:
        ConfigError: A number is out of its range.
    """

    r_max: float = 5.0
    num_layers: int
    l_max: int = 1
    parity: bool = True
    num_bessels: int = 8
    bessel_trainable: bool = False
    polynomial_cutoff_p: int = 6
    readout_mlp_hidden_layers_depth: int = 0
    readout_mlp_hidden_layers_width: int | None = None
    readout_mlp_nonlinearity: str | None = "silu"
    per_edge_type_cutoff: PerTypeCutoffs | None = None
    avg_num_neighbors: float | str | dict[str, float] | None = None
    per_type_energy_scales: float | str | dict[str, float] | None = None
    per_type_energy_shifts: dict[str, float] | None = None
    per_type_energy_scales_trainable: bool = False
    per_type_energy_shifts_trainable: bool = False
    pair_potential: str | None = None

    def __post_init__(self) -> None:
        self._require_positive("r_max", "num_layers", "num_bessels", "readout_mlp_hidden_layers_width")
        self._require_at_least(0, "readout_mlp_hidden_layers_depth")
        self._require_at_least(2, "polynomial_cutoff_p")  # for smooth forces
        if not 0 <= self.l_max <= 4:
            raise ConfigError(f"found model.l_max={self.l_max}; expected 0 to 4")
        self._require_nonlinearity("readout_mlp_nonlinearity")
        if self.pair_potential not in (None, *PAIR_POTENTIALS):
            raise ConfigError(
                f"found model.pair_potential={self.pair_potential}; "
                f"expected {', '.join(PAIR_POTENTIALS)} or null"
            )
        for name in ("avg_num_neighbors", "per_type_energy_scales"):
            self._require_per_type(name)
        _require_cutoffs(self.per_edge_type_cutoff, self.r_max)

    def edge_cutoffs(self, species: Sequence[str]) -> tuple[tuple[float, ...], ...]:
        """Cutoffs of every pair of species in A, (T, T): centre, neighbour.

        Raises:
            ConfigError: A cutoff is given for an element that is not there.
        """
        given = self.per_edge_type_cutoff or {}
        for centre, cutoffs in given.items():
            named = {centre, *(cutoffs if isinstance(cutoffs, Mapping) else ())}
            if not named <= set(species):
                raise ConfigError(
                    f"found model.per_edge_type_cutoff of {', '.join(sorted(named - set(species)))}; "
                    f"the species are {', '.join(species)}"
                )

        def cutoff(centre: str, neighbor: str) -> float:
            cutoffs = given.get(centre, self.r_max)
            return float(cutoffs.get(neighbor, self.r_max) if isinstance(cutoffs, Mapping) else cutoffs)

        return tuple(tuple(cutoff(centre, neighbor) for neighbor in species) for centre in species)

    def _require_positive(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"found model.{name}={value}; expected a positive number")

    def _require_at_least(self, least: int, *names: str) -> None:
        for name in names:
            if getattr(self, name) < least:
                raise ConfigError(f"found model.{name}={getattr(self, name)}; expected {least} or more")

    def _require_nonlinearity(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if value not in NONLINEARITIES:
                options = ", ".join(str(option or "null") for option in NONLINEARITIES)
                raise ConfigError(f"found model.{name}={value}; expected one of {options}")

    def _require_per_type(self, name: str) -> None:
        value = getattr(self, name)
        if isinstance(value, str) and value != PER_TYPE:
            raise ConfigError(
                f"found model.{name}={value}; expected a number, {PER_TYPE}, a number per species, or null"
            )
        numbers = list(value.values()) if isinstance(value, Mapping) else [value]
        if any(isinstance(number, int | float) and not number > 0 for number in numbers):
            raise ConfigError(f"found model.{name}={value}; expected positive numbers")


def _require_cutoffs(cutoffs: PerTypeCutoffs | None, r_max: float) -> None:
    for centre, given in (cutoffs or {}).items():
        for value in given.values() if isinstance(given, Mapping) else (given,):
            if not 0.0 < value <= r_max:
                raise ConfigError(
                    f"found model.per_edge_type_cutoff.{centre} with {value} A; "
                    f"expected above 0 and up to model.r_max={r_max}"
                )
