// What a compiled linear map of atoms' features offers: a function over a range of atoms.
#pragma once

#include <cstdint>

namespace vitreous {

// One irrep: (dim, inputs) numbers from `in` on in a row of features, (dim, outputs) from `out` on in the result, and
// from `weight` on in the weights a matrix (inputs, outputs), its rows filled up to a multiple of `weight_padding`.
struct NodeBlock {
  std::int64_t dim, in, inputs, out, outputs, weight;
};
constexpr std::int64_t weight_padding = 16;

template <class T>
struct NodeLinear {
  const NodeBlock* block;
  std::int64_t blocks, features, result;  // number of blocks, widths of the rows
  const T* w;
  std::int64_t species_stride;  // from the weights of a species to those of the next
  const std::int64_t* species;  // (N), null where all atoms have the same weights
};

template <class T>
struct NodeLinearKernel {
  std::int64_t number_bytes;  // of T
  // What no block writes is zero.
  void (*forward)(std::int64_t begin, std::int64_t end, const NodeLinear<T>&, const T* x, T* out);
};

}  // namespace vitreous
