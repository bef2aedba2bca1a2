"""A time step that is recorded once and replayed from then on, as a CUDA graph: nothing is left to the host.

A recording reads and writes tensors that stay where they are; they hold what the integrator changes.
"""

from collections.abc import Callable

import torch

from md.engines.torch.integrator import Integrator, Snapshot
from md.engines.torch.neighbors import PatientNeighbors

# Steps taken for real before one is recorded: kernels are compiled and libraries loaded in them.
_WARM_UP = 3

Action = Callable[[], None]


class Recording:
    """Steps of an integrator, replayed; recorded anew when the neighbors come in tensors of other sizes.

    Args:
        integrator: What is recorded.
        neighbors: Where it has its neighbors from.
        record: Makes a replay of an action; where it stands after recording does not matter.
    """

    def __init__(
        self, integrator: Integrator, neighbors: PatientNeighbors, record: Callable[[Action], Action]
    ) -> None:
        self._integrator, self._neighbors, self._record = integrator, neighbors, record
        self._recorded_layout: int | None = None
        self._buffers: Snapshot = {}
        self._replay: Action

    def step(self) -> None:
        """One time step of every system."""
        if self._recorded_layout != self._neighbors.layout:
            before = self.snapshot()
            self._buffers = self.snapshot()
            self._integrator.go_back(self._buffers)
            self._replay = self._record(self._step_in_place)
            self.go_back(before)
            self._recorded_layout = self._neighbors.layout
        self._replay()

    def snapshot(self) -> Snapshot:
        """Copies of what a step changes."""
        return {name: tensor.clone() for name, tensor in self._integrator.snapshot().items()}

    def go_back(self, snapshot: Snapshot) -> None:
        """Stand where a snapshot was taken."""
        for name, buffer in self._buffers.items():
            buffer.copy_(snapshot[name])

    def _step_in_place(self) -> None:
        self._integrator.step()
        self.go_back(self._integrator.snapshot())
        self._integrator.go_back(self._buffers)


def cuda_graph(action: Action) -> Action:
    """Record what an action does on the present GPU; the action is run some times for it."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(_WARM_UP):
            action()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        action()
    return graph.replay
