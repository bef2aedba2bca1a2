"""Where each system of a batch stands in its stage: step, target temperature, keys of random numbers."""

from collections.abc import Sequence

import torch
from torch import Tensor

from md.engines.torch.noise import hashed
from md.protocols.stages import PlannedStage
from mlip.units import BOLTZMANN_EV_PER_K

# What changes from step to step.
TICKING = ("done", "step", "thermal_energy")


class Clock:
    """Counts steps on the device, so that nothing comes from the host while the atoms move.

    Attributes:
        timestep_fs: (S,).
        done: (S,) steps of the stage that are done.
        step: (S,) int64, steps since the start of the run.
        thermal_energy: (S,) kT of the present target, eV; that of one kelvin where there is none.
    """

    def __init__(
        self,
        stages: Sequence[PlannedStage],
        steps_done: Sequence[int],
        seeds: Sequence[int],
        device: torch.device | str,
    ) -> None:
        """The clock at the steps that are done.

        Args:
            stages: Of each system.
            steps_done: Of each stage.
            seeds: Of each system.
            device: Where the systems are.
        """
        self.timestep_fs = self._tensor([each.stage.timestep_fs for each in stages], device)
        starts = [1.0 if each.start_K is None else each.start_K for each in stages]
        ends = [1.0 if each.end_K is None else each.end_K for each in stages]
        self._start = BOLTZMANN_EV_PER_K * self._tensor(starts, device)
        self._change = BOLTZMANN_EV_PER_K * self._tensor(ends, device) - self._start
        self._length = self._tensor([each.num_steps for each in stages], device)
        self.done = self._tensor(steps_done, device)
        first = [each.start_step + done for each, done in zip(stages, steps_done, strict=True)]
        self.step = torch.tensor(first, device=device)
        self._keys = hashed(torch.tensor(list(seeds), device=device), 0)
        self._set()

    def tick(self) -> None:
        """One step on."""
        self.done = self.done + 1.0
        self.step = self.step + 1
        self._set()

    @property
    def step_keys(self) -> Tensor:
        """(S,) int64, of the present step's random numbers."""
        return hashed(self._keys, self.step)

    def _set(self) -> None:
        self.thermal_energy = self._start + self._change * (self.done / self._length)

    @staticmethod
    def _tensor(numbers: Sequence[float], device: torch.device | str) -> Tensor:
        return torch.tensor(numbers, dtype=torch.float64, device=device)
