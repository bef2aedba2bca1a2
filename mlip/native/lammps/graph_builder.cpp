#include "graph_builder.h"

#include <algorithm>
#include <atom.h>
#include <cmath>
#include <domain.h>
#include <neigh_list.h>
#include <numeric>
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

std::int64_t pairs_in(const NeighList &list, int centers) {
  return std::accumulate(list.numneigh, list.numneigh + centers, std::int64_t(0));
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

}  // namespace

std::array<double, 9> cell_rows(const Domain &domain) {
  const double *h = domain.h;  // xx yy zz yz xz xy
  return {h[0], 0.0, 0.0, h[5], h[1], 0.0, h[4], h[3], h[2]};
}

Graph RankGraph::view() const { return graph_; }

void RankGraph::start(const Atom &atom, const Domain &domain, int count, const std::vector<int> &model_types,
                      std::int64_t most_edges) {
  graph_ = Graph{};
  graph_.num_local = atom.nlocal;
  graph_.cell = cell_rows(domain);
  positions_.clear();
  types_.clear();
  atom_of.clear();
  for (int i = 0; i < count; i++) add_atom(atom, i, model_types);
  most_edges_ = most_edges;
  if (edge_index_.size() < 2 * static_cast<std::size_t>(most_edges)) {
    edge_index_.resize(2 * most_edges);
    shifts_.resize(3 * most_edges);
  }
}

void RankGraph::add_atom(const Atom &atom, int index, const std::vector<int> &model_types) {
  positions_.insert(positions_.end(), atom.x[index], atom.x[index] + 3);
  types_.push_back(model_types[atom.type[index]]);
  atom_of.push_back(index);
}

void RankGraph::add_edge(int center, int neighbor, const std::array<double, 3> &shift) {
  const std::int64_t edge = graph_.num_edges++;
  edge_index_[edge] = center;
  edge_index_[most_edges_ + edge] = neighbor;
  std::copy(shift.begin(), shift.end(), shifts_.begin() + 3 * edge);
}

void RankGraph::finish() {
  const auto neighbors = edge_index_.begin() + most_edges_;
  std::copy_n(neighbors, graph_.num_edges, edge_index_.begin() + graph_.num_edges);
  graph_.num_atoms = static_cast<std::int64_t>(types_.size());
  graph_.positions = positions_.data();
  graph_.types = types_.data();
  graph_.edge_index = edge_index_.data();
  graph_.shifts = shifts_.data();
}

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

void FoldedGraphs::build(RankGraph &result, const Atom &atom, const Domain &domain, const NeighList &list,
                         const std::vector<int> &model_types, const Metadata &metadata) const {
  result.start(atom, domain, atom.nlocal, model_types, pairs_in(list, atom.nlocal));
  std::vector<int> node_of(atom.nghost, -1);  // of ghosts that stand for an atom of another rank
  over_edges(atom, list, model_types, metadata, atom.nlocal, [&](int i, int j) {
    const Image &image = images_[j];
    int node = image.owner;
    if (node >= atom.nlocal) {
      int &found = node_of[node - atom.nlocal];
      if (found < 0) {
        found = static_cast<int>(result.atom_of.size());
        result.add_atom(atom, node, model_types);
      }
      node = found;
    }
    result.add_edge(i, node, image.shift);
  });
  result.finish();
}

void build_unfolded(RankGraph &result, const Atom &atom, const Domain &domain, const NeighList &list,
                    const std::vector<int> &model_types, const Metadata &metadata, int centers) {
  result.start(atom, domain, atom.nlocal + atom.nghost, model_types, pairs_in(list, centers));
  over_edges(atom, list, model_types, metadata, centers,
             [&](int i, int j) { result.add_edge(i, j, {0.0, 0.0, 0.0}); });
  result.finish();
}

}  // namespace vitreous
