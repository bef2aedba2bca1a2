// The atomistic graph that a model reads and the answer that it gives. Knows neither LAMMPS nor torch.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace vitreous {

// N atoms, E directed edges sorted by centre. Edge vector = pos[neighbor] - pos[center] + shift @ cell.
// The first atoms are this process's own; only their energies count. The others are neighbours of theirs.
struct Graph {
  std::int64_t num_local = 0;
  std::vector<double> positions;        // (N, 3), A
  std::vector<std::int64_t> types;      // (N,), the model's type numbers
  std::vector<std::int64_t> centers;    // (E,)
  std::vector<std::int64_t> neighbors;  // (E,)
  std::vector<double> shifts;           // (E, 3), whole numbers of lattice vectors
  std::array<double, 9> cell{};         // (3, 3), rows are the lattice vectors, A

  std::int64_t num_atoms() const { return static_cast<std::int64_t>(types.size()); }
  std::int64_t num_edges() const { return static_cast<std::int64_t>(centers.size()); }
  std::array<double, 3> edge_vector(std::int64_t edge) const {
    std::array<double, 3> vec{};
    for (int axis = 0; axis < 3; axis++) {
      vec[axis] = positions[3 * neighbors[edge] + axis] - positions[3 * centers[edge] + axis];
      for (int row = 0; row < 3; row++) vec[axis] += shifts[3 * edge + row] * cell[3 * row + axis];
    }
    return vec;
  }
};

struct Prediction {
  std::vector<double> energies;       // (N,), eV
  std::vector<double> forces;         // (N, 3), eV/A
  std::array<double, 9> virial{};     // (3, 3), -dE/dstrain, eV
  std::vector<double> grades;         // (N,), extrapolation grades; empty unless asked for
  std::vector<double> edge_gradient;  // (E, 3), dE/d(edge vector), eV/A; empty unless asked for
};

}  // namespace vitreous
