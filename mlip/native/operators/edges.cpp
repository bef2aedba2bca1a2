// The operator that indexes edges sorted by their centre.
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "autograd.h"

namespace vitreous {
namespace {

// Where the edges of each centre start, which row of weights each edge uses, and the edge that each row is of.
std::tuple<Tensor, Tensor, Tensor> index_edges(const Tensor& edge_index, const Tensor& edge_vec, int64_t num_atoms,
                                               bool share) {
  const auto index = edge_index.contiguous();
  const auto vectors = edge_vec.detach().contiguous();
  const int64_t num_edges = index.size(-1);
  require("edges", index, {2, num_edges}, at::kLong);
  require("edge vectors", vectors, {num_edges, 3}, at::kDouble);
  const int64_t *centre = index.const_data_ptr<int64_t>(), *neighbor = centre + num_edges;
  const double* vec = vectors.const_data_ptr<double>();
  auto start = at::zeros({num_atoms + 1}, index.options());
  auto weight_row = at::empty({num_edges}, index.options());
  auto row_edge = at::empty({num_edges}, index.options());
  int64_t *first = start.data_ptr<int64_t>(), *row_of = weight_row.data_ptr<int64_t>(),
          *edge_of = row_edge.data_ptr<int64_t>();
  for (int64_t e = 0; e < num_edges; ++e) {
    TORCH_CHECK(e == 0 || centre[e - 1] <= centre[e],
                "found edges that are not sorted by their centre; expected edge_index[0] to ascend; sort them, or use "
                "kernel=reference");
    TORCH_CHECK(0 <= std::min(centre[e], neighbor[e]) && std::max(centre[e], neighbor[e]) < num_atoms,
                "found an edge between the atoms ", centre[e], " and ", neighbor[e], "; expected 0 to ", num_atoms - 1);
    ++first[centre[e] + 1];
  }
  for (int64_t n = 0; n < num_atoms; ++n) first[n + 1] += first[n];
  const int64_t unknown = num_edges;
  std::fill(row_of, row_of + num_edges, unknown);
  int64_t rows = 0;
  for (int64_t e = 0; e < num_edges; ++e) {
    if (row_of[e] != unknown) continue;
    edge_of[rows] = e;
    row_of[e] = rows;
    if (share) {
      const int64_t i = centre[e], j = neighbor[e];
      for (int64_t r = first[j]; r < first[j + 1]; ++r) {
        if (neighbor[r] != i || row_of[r] != unknown) continue;
        const double dx = vec[3 * e] + vec[3 * r], dy = vec[3 * e + 1] + vec[3 * r + 1],
                     dz = vec[3 * e + 2] + vec[3 * r + 2];
        if (dx * dx + dy * dy + dz * dz < 1e-12) {
          row_of[r] = ~rows;
          break;
        }
      }
    }
    ++rows;
  }
  return {start, weight_row, row_edge.narrow(0, 0, rows)};
}

TORCH_LIBRARY_FRAGMENT(vitreous, library) {
  library.def("index_edges(Tensor edge_index, Tensor edge_vec, SymInt num_atoms, bool share) -> (Tensor, Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(vitreous, CPU, library) { library.impl("index_edges", &index_edges); }

}  // namespace
}  // namespace vitreous
