// What a compiled function of edge vectors offers: harmonics of edges, radial functions of some of them.
#pragma once

#include <cstdint>

namespace vitreous {

// Rows k of a range; row k is of edge `edge[k]`, or of edge k where `edge` is null. `scale[k]` is one over the
// cutoff of row k, in 1/A; a single number where `scales` is 1. Vectors are (E, 3), in A.
struct EdgeRows {
  std::int64_t begin, end;
  const double* vec;
  const std::int64_t* edge;
  const double* scale;
  std::int64_t scales;
};

template <class T>
struct EdgeFunctionKernel {
  std::int64_t number_bytes;  // of T
  std::int64_t width;         // numbers per row
  void (*values)(const EdgeRows&, T* f);
  // gvec of the rows' edges = sum over the row of g df/dvec.
  void (*gradient)(const EdgeRows&, const T* g, double* gvec);
  // df = sum over x, y, z of h df/dvec.
  void (*change)(const EdgeRows&, const double* h, T* df);
  // dvec of the rows' edges = d/dvec of <h, gradient(g)>.
  void (*second)(const EdgeRows&, const double* h, const T* g, double* dvec);
};

}  // namespace vitreous
