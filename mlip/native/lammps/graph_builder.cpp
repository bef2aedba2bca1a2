#include "graph_builder.h"

#include <atom.h>
#include <cmath>
#include <domain.h>
#include <neigh_list.h>
#include <unordered_map>

using namespace LAMMPS_NS;

namespace vitreous {
namespace {

std::array<double, 3> lattice_shift(const double *image, const double *owner, const double *h_inv) {
  const double dx = image[0] - owner[0], dy = image[1] - owner[1], dz = image[2] - owner[2];
  // h_inv is upper triangular in LAMMPS's order xx yy zz yz xz xy.
  return {std::round(h_inv[0] * dx + h_inv[5] * dy + h_inv[4] * dz),
          std::round(h_inv[1] * dy + h_inv[3] * dz), std::round(h_inv[2] * dz)};
}

std::array<double, 9> cell_rows(const Domain &domain) {
  const double *h = domain.h;  // xx yy zz yz xz xy
  return {h[0], 0.0, 0.0, h[5], h[1], 0.0, h[4], h[3], h[2]};
}

void add_atom(RankGraph &result, const Atom &atom, int index, const std::vector<int> &model_types) {
  Graph &graph = result.graph;
  graph.positions.insert(graph.positions.end(), atom.x[index], atom.x[index] + 3);
  graph.types.push_back(model_types[atom.type[index]]);
  result.atom_of.push_back(index);
}

RankGraph graph_of(const Atom &atom, const Domain &domain, int count, const std::vector<int> &model_types) {
  RankGraph result;
  result.graph.num_local = atom.nlocal;
  result.graph.cell = cell_rows(domain);
  result.graph.positions.reserve(3 * static_cast<std::size_t>(count));
  result.graph.types.reserve(count);
  for (int i = 0; i < count; i++) add_atom(result, atom, i, model_types);
  return result;
}

// Calls `add(i, j)` for each neighbour j of the first `centers` atoms that is within its pair's cutoff.
template <class Add>
void over_edges(const Atom &atom, const NeighList &list, const std::vector<int> &model_types,
                const Metadata &metadata, int centers, Add add) {
  for (int i = 0; i < centers; i++) {
    const double *center = atom.x[i];
    for (int k = 0; k < list.numneigh[i]; k++) {
      const int j = list.firstneigh[i][k] & NEIGHMASK;
      const double cutoff = metadata.cutoff(model_types[atom.type[i]], model_types[atom.type[j]]);
      const double dx = atom.x[j][0] - center[0];
      const double dy = atom.x[j][1] - center[1];
      const double dz = atom.x[j][2] - center[2];
      if (dx * dx + dy * dy + dz * dz < cutoff * cutoff) add(i, j);
    }
  }
}

void add_edge(Graph &graph, int center, int neighbor, const std::array<double, 3> &shift) {
  graph.centers.push_back(center);
  graph.neighbors.push_back(neighbor);
  graph.shifts.insert(graph.shifts.end(), shift.begin(), shift.end());
}

}  // namespace

void FoldedGraphs::find_owners(const Atom &atom, const Domain &domain) {
  const int total = atom.nlocal + atom.nghost;
  std::unordered_map<tagint, int> owner_of_tag;
  owner_of_tag.reserve(total);
  images_.resize(total);
  for (int j = 0; j < total; j++) {
    const int owner = owner_of_tag.emplace(atom.tag[j], j).first->second;
    images_[j] = {owner, j < atom.nlocal ? std::array<double, 3>{}
                                         : lattice_shift(atom.x[j], atom.x[owner], domain.h_inv)};
  }
}

bool FoldedGraphs::fits(const Atom &atom) const {
  return static_cast<int>(images_.size()) == atom.nlocal + atom.nghost;
}

RankGraph FoldedGraphs::build(const Atom &atom, const Domain &domain, const NeighList &list,
                              const std::vector<int> &model_types, const Metadata &metadata) const {
  RankGraph result = graph_of(atom, domain, atom.nlocal, model_types);
  std::vector<int> node_of(atom.nghost, -1);  // of ghosts that stand for an atom of another rank
  over_edges(atom, list, model_types, metadata, atom.nlocal, [&](int i, int j) {
    const Image &image = images_[j];
    int node = image.owner;
    if (node >= atom.nlocal) {
      int &found = node_of[node - atom.nlocal];
      if (found < 0) {
        found = static_cast<int>(result.atom_of.size());
        add_atom(result, atom, node, model_types);
      }
      node = found;
    }
    add_edge(result.graph, i, node, image.shift);
  });
  return result;
}

RankGraph build_unfolded(const Atom &atom, const Domain &domain, const NeighList &list,
                         const std::vector<int> &model_types, const Metadata &metadata, int centers) {
  RankGraph result = graph_of(atom, domain, atom.nlocal + atom.nghost, model_types);
  over_edges(atom, list, model_types, metadata, centers,
             [&](int i, int j) { add_edge(result.graph, i, j, {0.0, 0.0, 0.0}); });
  return result;
}

}  // namespace vitreous
