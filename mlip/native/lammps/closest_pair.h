// What to tell a user whose model gives nonsense.
#pragma once

#include "graph.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace vitreous {

struct ClosestPair {
  double distance = std::numeric_limits<double>::max();  // A
  std::string text = "no two atoms are within the cutoff";
};

// The shortest edge, the usual reason. `atom_of` as in RankGraph; `tags` are LAMMPS's IDs, of type tagint.
template <class Tag>
ClosestPair find_closest_pair(const Graph &graph, const std::vector<int> &atom_of, const Tag *tags) {
  double shortest = INFINITY;
  std::int64_t found = -1;
  for (std::int64_t e = 0; e < graph.num_edges; e++) {
    const auto vec = graph.edge_vector(e);
    const double square = vec[0] * vec[0] + vec[1] * vec[1] + vec[2] * vec[2];
    if (square < shortest) {
      shortest = square;
      found = e;
    }
  }
  if (found < 0) return {};
  const auto tag = [&](std::int64_t node) { return std::to_string(tags[atom_of[node]]); };
  const double distance = std::sqrt(shortest);
  return {distance, "closest atoms " + tag(graph.center(found)) + " and " + tag(graph.neighbor(found)) + " are " +
                        std::to_string(distance) + " A apart"};
}

}  // namespace vitreous
