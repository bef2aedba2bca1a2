#include "graph_builder.h"

#include <atom.h>
#include <cmath>
#include <domain.h>
#include <neigh_list.h>
#include <unordered_map>

using namespace LAMMPS_NS;

namespace vitreous {
namespace {

// Where atom index j of LAMMPS, local or ghost, stands in the graph.
struct Image {
  int owner;
  std::array<double, 3> shift;
};

std::array<double, 3> lattice_shift(const double *image, const double *owner, const double *h_inv) {
  const double dx = image[0] - owner[0], dy = image[1] - owner[1], dz = image[2] - owner[2];
  // h_inv is upper triangular in LAMMPS's order xx yy zz yz xz xy.
  return {std::round(h_inv[0] * dx + h_inv[5] * dy + h_inv[4] * dz),
          std::round(h_inv[1] * dy + h_inv[3] * dz), std::round(h_inv[2] * dz)};
}

std::vector<Image> fold_ghosts(const Atom &atom, const Domain &domain) {
  std::unordered_map<tagint, int> owner_of_tag;
  owner_of_tag.reserve(atom.nlocal);
  for (int i = 0; i < atom.nlocal; i++) owner_of_tag[atom.tag[i]] = i;

  std::vector<Image> images(atom.nlocal + atom.nghost);
  for (int i = 0; i < atom.nlocal; i++) images[i] = {i, {0.0, 0.0, 0.0}};
  for (int j = atom.nlocal; j < atom.nlocal + atom.nghost; j++) {
    const int owner = owner_of_tag.at(atom.tag[j]);
    images[j] = {owner, lattice_shift(atom.x[j], atom.x[owner], domain.h_inv)};
  }
  return images;
}

std::array<double, 9> cell_rows(const Domain &domain) {
  const double *h = domain.h;  // xx yy zz yz xz xy
  return {h[0], 0.0, 0.0, h[5], h[1], 0.0, h[4], h[3], h[2]};
}

void add_edges(Graph &graph, const Atom &atom, const NeighList &list,
               const std::vector<Image> &images, const Metadata &metadata) {
  for (int i = 0; i < atom.nlocal; i++) {
    const double *center = atom.x[i];
    for (int k = 0; k < list.numneigh[i]; k++) {
      const int j = list.firstneigh[i][k] & NEIGHMASK;
      const Image &image = images[j];
      const double cutoff = metadata.cutoff(graph.types[i], graph.types[image.owner]);
      const double dx = atom.x[j][0] - center[0];
      const double dy = atom.x[j][1] - center[1];
      const double dz = atom.x[j][2] - center[2];
      if (dx * dx + dy * dy + dz * dz >= cutoff * cutoff) continue;
      graph.centers.push_back(i);
      graph.neighbors.push_back(image.owner);
      graph.shifts.insert(graph.shifts.end(), image.shift.begin(), image.shift.end());
    }
  }
}

}  // namespace

Graph build_graph(const Atom &atom, const Domain &domain, const NeighList &list,
                  const std::vector<int> &model_types, const Metadata &metadata) {
  Graph graph;
  graph.cell = cell_rows(domain);
  graph.positions.reserve(3 * static_cast<std::size_t>(atom.nlocal));
  graph.types.reserve(atom.nlocal);
  for (int i = 0; i < atom.nlocal; i++) {
    graph.positions.insert(graph.positions.end(), atom.x[i], atom.x[i] + 3);
    graph.types.push_back(model_types[atom.type[i]]);
  }
  add_edges(graph, atom, list, fold_ghosts(atom, domain), metadata);
  return graph;
}

}  // namespace vitreous
