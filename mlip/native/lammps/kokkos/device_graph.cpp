#include "device_graph.h"

#include <atom_kokkos.h>

using namespace LAMMPS_NS;

namespace vitreous {

// Not unnamed: CUDA compiles lambdas of named functions only.
namespace on_device {

// What a kernel sees of LAMMPS. Positions and types are views whose types differ between versions of LAMMPS.
template <class Positions, class Types>
struct Pairs {
  Positions x;
  Types type;
  decltype(NeighListKokkos<LMPDeviceType>::d_neighbors) neighbors;
  decltype(NeighListKokkos<LMPDeviceType>::d_numneigh) counts;
  DeviceArray<double> square_cutoffs;
  int num_types;

  KOKKOS_INLINE_FUNCTION int neighbor(int i, int k) const { return neighbors(i, k) & NEIGHMASK; }

  KOKKOS_INLINE_FUNCTION bool close(int i, int j) const {
    const double dx = x(j, 0) - x(i, 0), dy = x(j, 1) - x(i, 1), dz = x(j, 2) - x(i, 2);
    return dx * dx + dy * dy + dz * dz < square_cutoffs(type(i) * (num_types + 1) + type(j));
  }
};

// Sets `count(i)`, the edges of each local atom, and marks the ghosts that they reach and that stand for themselves.
template <class Pairs>
void count_edges(const Pairs &pairs, int num_local, const DeviceArray<int> &owner,
                 const DeviceArray<std::int64_t> &count, const DeviceArray<int> &reached) {
  Kokkos::parallel_for(
      "vitreous::count_edges", DeviceRange(0, num_local), KOKKOS_LAMBDA(const int i) {
        std::int64_t found = 0;
        for (int k = 0; k < pairs.counts(i); k++) {
          const int j = pairs.neighbor(i, k);
          if (!pairs.close(i, j)) continue;
          found++;
          if (owner(j) >= num_local) Kokkos::atomic_store(&reached(owner(j) - num_local), 1);
        }
        count(i) = found;
      });
}

// Turns counts into sums of those before, and returns the sum of all.
inline std::int64_t sum_before(const DeviceArray<std::int64_t> &counts, int size) {
  std::int64_t total = 0;
  Kokkos::parallel_scan(
      "vitreous::sum_before", DeviceRange(0, size),
      KOKKOS_LAMBDA(const int i, std::int64_t &sum, const bool last) {
        const std::int64_t count = counts(i);
        if (last) counts(i) = sum;
        sum += count;
      },
      total);
  return total;
}

// Gives the local atoms and the marked ghosts numbers in the graph, in place of the marks, and returns how many.
inline int number_atoms(int num_local, int num_ghosts, const DeviceArray<int> &marks, const DeviceArray<int> &atom_of) {
  Kokkos::parallel_for(
      "vitreous::number_local", DeviceRange(0, num_local), KOKKOS_LAMBDA(const int i) { atom_of(i) = i; });
  int reached = 0;
  Kokkos::parallel_scan(
      "vitreous::number_ghosts", DeviceRange(0, num_ghosts),
      KOKKOS_LAMBDA(const int ghost, int &sum, const bool last) {
        const int mark = marks(ghost);
        if (last && mark) {
          atom_of(num_local + sum) = num_local + ghost;
          marks(ghost) = num_local + sum;
        }
        sum += mark ? 1 : 0;
      },
      reached);
  return num_local + reached;
}

template <class Pairs>
void fill_edges(const Pairs &pairs, int num_local, std::int64_t num_edges, const DeviceArray<int> &owner,
                const DeviceArray<double> &image_shifts, const DeviceArray<int> &node_of,
                const DeviceArray<std::int64_t> &first_edge, const DeviceArray<std::int64_t> &edge_index,
                const DeviceArray<double> &shifts) {
  Kokkos::parallel_for(
      "vitreous::fill_edges", DeviceRange(0, num_local), KOKKOS_LAMBDA(const int i) {
        std::int64_t edge = first_edge(i);
        for (int k = 0; k < pairs.counts(i); k++) {
          const int j = pairs.neighbor(i, k);
          if (!pairs.close(i, j)) continue;
          const int stands = owner(j);
          edge_index(edge) = i;
          edge_index(num_edges + edge) = stands < num_local ? stands : node_of(stands - num_local);
          for (int axis = 0; axis < 3; axis++) shifts(3 * edge + axis) = image_shifts(3 * j + axis);
          edge++;
        }
      });
}

template <class Pairs>
void gather_atoms(const Pairs &pairs, int num_atoms, const DeviceArray<int> &atom_of,
                  const DeviceArray<int> &model_types, const DeviceArray<double> &positions,
                  const DeviceArray<std::int64_t> &types) {
  Kokkos::parallel_for(
      "vitreous::gather_atoms", DeviceRange(0, num_atoms), KOKKOS_LAMBDA(const int n) {
        const int i = atom_of(n);
        for (int axis = 0; axis < 3; axis++) positions(3 * n + axis) = pairs.x(i, axis);
        types(n) = model_types(pairs.type(i));
      });
}

}  // namespace on_device

void DeviceGraph::set_types(const std::vector<int> &model_types, const Metadata &metadata) {
  num_types_ = static_cast<int>(model_types.size()) - 1;
  std::vector<int> types = model_types;
  to_device(types, model_types_);
  std::vector<double> squares(types.size() * types.size(), 0.0);
  for (int i = 1; i <= num_types_; i++)
    for (int j = 1; j <= num_types_; j++) {
      const double cutoff = metadata.cutoff(types[i], types[j]);
      squares[i * (num_types_ + 1) + j] = cutoff * cutoff;
    }
  to_device(squares, square_cutoffs_);
}

void DeviceGraph::set_images(const std::vector<FoldedGraphs::Image> &images) {
  std::vector<int> owners;
  std::vector<double> shifts;
  owners.reserve(images.size());
  shifts.reserve(3 * images.size());
  for (const auto &image : images) {
    owners.push_back(image.owner);
    shifts.insert(shifts.end(), image.shift.begin(), image.shift.end());
  }
  to_device(owners, owner_);
  to_device(shifts, image_shifts_);
  num_images_ = static_cast<int>(images.size());
  folded_ = true;
}

void DeviceGraph::set_unfolded(int num_atoms) {
  std::vector<FoldedGraphs::Image> images(num_atoms);
  for (int i = 0; i < num_atoms; i++) images[i] = {i, {}};
  set_images(images);
  folded_ = false;
}

void DeviceGraph::build(AtomKokkos &atom, const Domain &domain, const NeighListKokkos<LMPDeviceType> &list) {
  const int num_local = atom.nlocal, num_ghosts = atom.nghost;
  const auto x = atom.k_x.view<LMPDeviceType>();
  const auto type = atom.k_type.view<LMPDeviceType>();
  const on_device::Pairs<std::decay_t<decltype(x)>, std::decay_t<decltype(type)>> pairs{
      x, type, list.d_neighbors, list.d_numneigh, square_cutoffs_, num_types_};
  make_room(first_edge_, num_local);
  make_room(node_of_, num_ghosts);
  make_room(atom_of_, num_local + num_ghosts);
  Kokkos::deep_copy(first_of(node_of_, num_ghosts), folded_ ? 0 : 1);
  on_device::count_edges(pairs, num_local, owner_, first_edge_, node_of_);
  graph_.num_edges = on_device::sum_before(first_edge_, num_local);
  graph_.num_atoms = on_device::number_atoms(num_local, num_ghosts, node_of_, atom_of_);
  make_room(edge_index_, 2 * graph_.num_edges);
  make_room(shifts_, 3 * graph_.num_edges);
  make_room(positions_, 3 * graph_.num_atoms);
  make_room(types_, graph_.num_atoms);
  on_device::fill_edges(pairs, num_local, graph_.num_edges, owner_, image_shifts_, node_of_, first_edge_, edge_index_,
                        shifts_);
  on_device::gather_atoms(pairs, graph_.num_atoms, atom_of_, model_types_, positions_, types_);
  // Torch has streams of its own.
  Kokkos::fence("vitreous::build");
  graph_.num_local = num_local;
  graph_.positions = positions_.data();
  graph_.types = types_.data();
  graph_.edge_index = edge_index_.data();
  graph_.shifts = shifts_.data();
  graph_.cell = cell_rows(domain);
  graph_.on_device = kOnDevice;
}

HostGraph DeviceGraph::copy() const {
  HostGraph copy;
  copy.positions = to_host(positions_, 3 * graph_.num_atoms);
  copy.types = to_host(types_, graph_.num_atoms);
  copy.edge_index = to_host(edge_index_, 2 * graph_.num_edges);
  copy.shifts = to_host(shifts_, 3 * graph_.num_edges);
  copy.atom_of = to_host(atom_of_, graph_.num_atoms);
  copy.graph = graph_;
  copy.graph.positions = copy.positions.data();
  copy.graph.types = copy.types.data();
  copy.graph.edge_index = copy.edge_index.data();
  copy.graph.shifts = copy.shifts.data();
  copy.graph.on_device = false;
  return copy;
}

}  // namespace vitreous
