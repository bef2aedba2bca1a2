// What a compiled product of edges' features with the matrix of their pair of species offers: functions over a range of
// edges, for the threads of the caller.
#pragma once

#include <cstdint>

namespace vitreous {

// y_e = x_e M[pair_e] with x (E, K), M (P, K, N), y (E, N); all contiguous. N is a multiple of `padding`.
struct PairedSizes {
  std::int64_t inputs, outputs;
  const std::int64_t* pair;
};

template <class T>
struct PairedKernel {
  std::int64_t number_bytes, padding;  // of T; of columns
  // Sets y, or adds to it.
  void (*forward)(std::int64_t begin, std::int64_t end, const PairedSizes&, const T* x, const T* m, bool add, T* y);
  // Gradients of <g, y>: sets gx unless it is null; adds to gm unless it is null.
  void (*backward)(std::int64_t begin, std::int64_t end, const PairedSizes&, const T* x, const T* m, const T* g, T* gx,
                   T* gm);
};

}  // namespace vitreous
