"""Interfaces with a glass, which are samples of one interface: means over them, with standard errors.

Each sample is compared with bulks of the very glasses it was made of, so what one glass has more than another
is in no sample. With as many formula units in each, the mean is that of the mean energies of interfaces and
bulks (Wang, Aykol and Mueller 2023, Eq. 4, where bulks are free: the formation energy).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from md.energetics.interface_energy import InterfaceEnergy
from md.energetics.samples import mean_of_samples


@dataclass(frozen=True)
class InterfaceSamples:
    """Energies of an interface by one or more samples of it.

    Attributes:
        name: Both formulas and the terminations.
        samples: One an interface; one alone where both sides are crystals.
    """

    name: str
    samples: tuple[InterfaceEnergy, ...]

    def mean(self, quantity: Callable[[InterfaceEnergy], float]) -> tuple[float, float | None]:
        """Mean of a quantity over the samples and its standard error; None of one sample."""
        return mean_of_samples(np.array([quantity(sample) for sample in self.samples]))

    def interval(self, quantity: Callable[[InterfaceEnergy], float]) -> tuple[float, float] | None:
        """Where the mean of all samples there may be is with 95 % probability (Student's t); None of one."""
        value, error = self.mean(quantity)
        if error is None:
            return None
        half = float(t.ppf(0.975, len(self.samples) - 1)) * error
        return value - half, value + half

    @property
    def sigma(self) -> tuple[float, float | None]:
        """Interfacial energy, J/m^2, and its error."""
        return self.mean(lambda sample: sample.value)

    @property
    def formation(self) -> tuple[float, float | None]:
        """Formation energy, J/m^2, and its error."""
        return self.mean(lambda sample: sample.formation)

    @property
    def adhesion(self) -> tuple[float, float | None]:
        """Work of adhesion, J/m^2, and its error."""
        return self.mean(lambda sample: sample.adhesion)


def gather_samples(results: Sequence[InterfaceEnergy]) -> list[InterfaceSamples]:
    """Put together what are samples of one interface: those of glasses with the same name.

    Args:
        results: Of interfaces in any order. Crystals of the same name, such as of two strains, are
            told apart by a number.
    """
    groups: dict[str, list[InterfaceEnergy]] = {}
    for each in results:
        name, number = each.name, 1
        while name in groups and not each.is_glass:
            number += 1
            name = f"{each.name} ({number})"
        groups.setdefault(name, []).append(each)
    return [InterfaceSamples(name, tuple(samples)) for name, samples in groups.items()]
