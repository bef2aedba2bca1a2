// The atomistic graph that a model reads and the answer that it gives. Knows neither LAMMPS nor torch.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

namespace vitreous {

// N atoms, E directed edges sorted by centre. Edge vector = pos[neighbor] - pos[center] + shift @ cell.
// The first atoms are this process's own; only their energies count. The others are neighbours of theirs.
// The arrays are the caller's, who keeps them until the model has answered; all but the cell lie in the memory of
// the model's device if `on_device`, else of the host.
struct Graph {
  std::int64_t num_local = 0;
  std::int64_t num_atoms = 0;
  std::int64_t num_edges = 0;
  const double *positions = nullptr;          // (N, 3), A
  const std::int64_t *types = nullptr;        // (N,), the model's type numbers
  const std::int64_t *edge_index = nullptr;   // (2, E), centres, then neighbours
  const double *shifts = nullptr;             // (E, 3), whole numbers of lattice vectors
  std::array<double, 9> cell{};               // (3, 3), rows are the lattice vectors, A
  bool on_device = false;

  std::int64_t center(std::int64_t edge) const { return edge_index[edge]; }
  std::int64_t neighbor(std::int64_t edge) const { return edge_index[num_edges + edge]; }
  std::array<double, 3> edge_vector(std::int64_t edge) const {
    std::array<double, 3> vec{};
    for (int axis = 0; axis < 3; axis++) {
      vec[axis] = positions[3 * neighbor(edge) + axis] - positions[3 * center(edge) + axis];
      for (int row = 0; row < 3; row++) vec[axis] += shifts[3 * edge + row] * cell[3 * row + axis];
    }
    return vec;
  }
};

// Where the graph's arrays lie, but for the virial; `memory` owns them.
struct Prediction {
  const double *energies = nullptr;       // (N,), eV
  double *forces = nullptr;               // (N, 3), eV/A
  std::array<double, 9> virial{};         // (3, 3), -dE/dstrain, eV
  const double *grades = nullptr;         // (N,), extrapolation grades; null unless asked for
  const double *edge_gradient = nullptr;  // (E, 3), dE/d(edge vector), eV/A; null unless asked for
  std::shared_ptr<void> memory;
};

}  // namespace vitreous
