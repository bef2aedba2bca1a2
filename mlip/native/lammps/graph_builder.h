// From LAMMPS's atoms, ghosts and neighbour list to the graph of a model.
#pragma once

#include "graph.h"
#include "metadata.h"

#include <array>
#include <vector>

namespace LAMMPS_NS {
class Atom;
class Domain;
class NeighList;
}  // namespace LAMMPS_NS

namespace vitreous {

// The graph of one rank, and where its atoms stand in LAMMPS. Filled anew at each step, in the memory of the last.
class RankGraph {
 public:
  std::vector<int> atom_of;  // (N,), LAMMPS's index, local or ghost

  Graph view() const;

  // Begins with the first `count` atoms of LAMMPS, and room for so many edges. model_types[t] is the model's number
  // of LAMMPS type t.
  void start(const LAMMPS_NS::Atom &atom, const LAMMPS_NS::Domain &domain, int count,
             const std::vector<int> &model_types, std::int64_t most_edges);
  void add_atom(const LAMMPS_NS::Atom &atom, int index, const std::vector<int> &model_types);
  void add_edge(int center, int neighbor, const std::array<double, 3> &shift);
  // No edge comes any more.
  void finish();

 private:
  Graph graph_;
  std::vector<double> positions_;
  std::vector<std::int64_t> types_;
  std::vector<std::int64_t> edge_index_;
  std::vector<double> shifts_;
  std::int64_t most_edges_ = 0;
};

// Rows are the lattice vectors, A.
std::array<double, 9> cell_rows(const LAMMPS_NS::Domain &domain);

// Builds graphs whose atoms are the local ones and, once each, those of other ranks that edges reach: ghosts
// that are images of one atom become that atom and a whole number of lattice vectors.
class FoldedGraphs {
 public:
  // What stands for a ghost: an atom of LAMMPS, local if there is one, and the lattice vectors between them.
  struct Image {
    int owner;
    std::array<double, 3> shift;
  };

  // To be called whenever LAMMPS has made new ghosts.
  void find_owners(const LAMMPS_NS::Atom &atom, const LAMMPS_NS::Domain &domain);

  // Whether that was for as many atoms and ghosts.
  bool fits(const LAMMPS_NS::Atom &atom) const;

  void build(RankGraph &result, const LAMMPS_NS::Atom &atom, const LAMMPS_NS::Domain &domain,
             const LAMMPS_NS::NeighList &list, const std::vector<int> &model_types, const Metadata &metadata) const;

  const std::vector<Image> &images() const { return images_; }

 private:
  std::vector<Image> images_;  // (local + ghosts,)
};

// A graph of all local atoms and all ghosts, each for itself; with `centers` beyond the local atoms these have
// edges, too.
void build_unfolded(RankGraph &result, const LAMMPS_NS::Atom &atom, const LAMMPS_NS::Domain &domain,
                    const LAMMPS_NS::NeighList &list, const std::vector<int> &model_types, const Metadata &metadata,
                    int centers);

}  // namespace vitreous
