// From LAMMPS's atoms, ghosts and neighbour list to the graph of a message-passing model.
#pragma once

#include "graph.h"
#include "metadata.h"

#include <vector>

namespace LAMMPS_NS {
class Atom;
class Domain;
class NeighList;
}  // namespace LAMMPS_NS

namespace vitreous {

// On one rank every ghost is a periodic image of a local atom: it is folded back onto its owner, and the
// image becomes a whole number of lattice vectors. model_types[t] is the model's number of LAMMPS type t.
Graph build_graph(const LAMMPS_NS::Atom &atom, const LAMMPS_NS::Domain &domain,
                  const LAMMPS_NS::NeighList &list, const std::vector<int> &model_types,
                  const Metadata &metadata);

}  // namespace vitreous
