"""Steps in chunks: the device is waited for at their ends, and a chunk with wrong neighbors is taken back."""

from md.engines.torch.integrator import Integrator
from md.engines.torch.neighbors import PatientNeighbors
from md.engines.torch.recording import Recording
from md.engines.torch.systems import Systems
from mlip.errors import SimulationError

LONGEST = 25


class Chunks:
    """Advances an integrator whose forces come of patient neighbors.

    The list is made anew at the end of a chunk when it would hardly last for the next one: hardly a step is
    ever taken back.
    """

    def __init__(
        self, stepper: Integrator | Recording, systems: Systems, neighbors: PatientNeighbors
    ) -> None:
        """Start with a list of the present positions.

        Args:
            stepper: What takes the steps.
            systems: What it moves.
            neighbors: Where it has its neighbors from.
        """
        self._stepper, self._systems, self._neighbors = stepper, systems, neighbors
        self._length, self._age = LONGEST, 0

    def advance(self, num_steps: int) -> None:
        """Integrate this many steps.

        Raises:
            SimulationError: Atoms move too far in a single step.
            DataError: Positions are not finite.
        """
        while num_steps > 0:
            chunk = min(num_steps, self._length)
            before = self._stepper.snapshot()
            for _ in range(chunk):
                self._stepper.step()
            used, filled = self._neighbors.look_back()
            if used <= 1.0 and filled <= 1.0:
                num_steps -= chunk
                self._look_ahead(used, chunk)
            else:
                self._stepper.go_back(before)
                self._shorten(used, chunk)

    def _look_ahead(self, used: float, chunk: int) -> None:
        """Make a new list if this one will not last for the next chunk."""
        self._age += chunk
        if used * (self._age + self._length) > self._age:
            self._renew()
        elif used < 0.5:
            self._length = min(2 * self._length, LONGEST)

    def _shorten(self, used: float, chunk: int) -> None:
        """After a chunk that was taken back: a new list, or where it was new fewer steps."""
        if self._age == 0 and used > 1.0:
            if chunk == 1:
                raise SimulationError(
                    "atoms moved farther in one step than neighbor lists allow for, or to nowhere; "
                    "expected steps that forces hardly change in: a shorter timestep_fs may help"
                )
            self._length = chunk // 2
        self._renew()

    def _renew(self) -> None:
        self._neighbors.renew(self._systems)
        self._age = 0
