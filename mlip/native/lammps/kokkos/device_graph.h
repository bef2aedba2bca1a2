// From LAMMPS's atoms, ghosts and neighbour list to the graph of a model, all on the device of Kokkos.
#pragma once

#include "device_memory.h"
#include "graph.h"
#include "graph_builder.h"
#include "metadata.h"

#include <neigh_list_kokkos.h>

#include <vector>

namespace LAMMPS_NS {
class AtomKokkos;
class Domain;
}  // namespace LAMMPS_NS

namespace vitreous {

// Copies of a graph's arrays in main memory.
struct HostGraph {
  std::vector<double> positions, shifts;
  std::vector<std::int64_t> types, edge_index;
  std::vector<int> atom_of;
  Graph graph;
};

// The graph that FoldedGraphs builds, but for the order of others' atoms; without folding all ghosts are in it, each
// for itself.
class DeviceGraph {
 public:
  // model_types[t] is the model's number of LAMMPS type t.
  void set_types(const std::vector<int> &model_types, const Metadata &metadata);

  // To be called whenever LAMMPS has made new ghosts.
  void set_images(const std::vector<FoldedGraphs::Image> &images);
  void set_unfolded(int num_atoms);

  // Whether that was for as many atoms and ghosts.
  bool fits(int num_atoms) const { return num_images_ == num_atoms; }

  void build(LAMMPS_NS::AtomKokkos &atom, const LAMMPS_NS::Domain &domain,
             const LAMMPS_NS::NeighListKokkos<LMPDeviceType> &list);

  const Graph &view() const { return graph_; }
  const DeviceArray<int> &atom_of() const { return atom_of_; }  // (N,), LAMMPS's index, local or ghost
  HostGraph copy() const;

 private:
  Graph graph_;
  int num_types_ = 0, num_images_ = -1;
  bool folded_ = true;
  DeviceArray<int> model_types_;                       // (types + 1,)
  DeviceArray<double> square_cutoffs_;                 // (types + 1, types + 1), A^2
  DeviceArray<int> owner_;                             // (local + ghosts,), what stands for an atom
  DeviceArray<double> image_shifts_;                   // (local + ghosts, 3), lattice vectors between them
  DeviceArray<std::int64_t> first_edge_;               // (local,)
  DeviceArray<int> node_of_;                           // (ghosts,)
  DeviceArray<int> atom_of_;
  DeviceArray<double> positions_, shifts_;
  DeviceArray<std::int64_t> types_, edge_index_;
};

}  // namespace vitreous
