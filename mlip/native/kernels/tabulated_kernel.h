// What a compiled interaction with tabulated weights offers: functions over a range of centres.
#pragma once

#include <cstdint>

namespace vitreous {

// Edges sorted by their centre, and the weights that they have by their relative length x = r / cutoff.
template <class T>
struct TabulatedEdges {
  const std::int64_t* start;     // (N + 1) first edge of each centre
  const std::int64_t* neighbor;  // (E)
  const double* length;          // (E) relative
  // (pieces + 1, 4 weights): in each piece, path after path, its channels' coefficients of 1, t, t^2, t^3, where t
  // runs from 0 to 1 over the piece; the last piece, beyond x = 1, holds zeros.
  const T* table;
  std::int64_t pieces;
};

// out = sum over edges of weights(length) * (features x harmonics); see mlip/nn/kernels/reference.py.
template <class T>
struct TabulatedKernel {
  std::int64_t number_bytes;                          // of T
  std::int64_t features, harmonics, weights, result;  // widths of the rows
  void (*forward)(std::int64_t begin, std::int64_t end, const TabulatedEdges<T>&, const T* x, const T* y, T* out);
  // Gradients of <g, out>: adds to gx, the rows of neighbours; sets gy and, by the lengths, glength.
  void (*backward)(std::int64_t begin, std::int64_t end, const TabulatedEdges<T>&, const T* x, const T* y, const T* g,
                   T* gx, T* gy, double* glength);
};

}  // namespace vitreous
