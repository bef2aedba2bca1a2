// Linear maps of atoms' features: all components of an irrep share each vector of weights that is loaded.
#pragma once

#include "node_linear_kernel.h"
#include "vectors.h"

namespace vitreous {

template <class T>
struct NodeLinearLoops {
  using V = Vector<T>;

  static void forward(std::int64_t begin, std::int64_t end, const NodeLinear<T>& map, const T* x, T* out) {
    for (std::int64_t n = begin; n < end; ++n) {
      T* row = out + n * map.result;
      std::memset(row, 0, map.result * sizeof(T));
      const T* w = map.w + (map.species ? map.species[n] * map.species_stride : 0);
      for (std::int64_t b = 0; b < map.blocks; ++b) {
        const NodeBlock& block = map.block[b];
        multiply(block, x + n * map.features + block.in, w + block.weight, row + block.out);
      }
    }
  }

  static constexpr NodeLinearKernel<T> kernel = {sizeof(T), forward};

 private:
  // Some components at a time, so that their sums fit into registers.
  static void multiply(const NodeBlock& block, const T* x, const T* w, T* out) {
    std::int64_t left = block.dim;
    for (; left >= 5; left -= 5) {
      over_columns<5>(block, x, w, out);
      x += 5 * block.inputs;
      out += 5 * block.outputs;
    }
    if (left == 4) over_columns<4>(block, x, w, out);
    if (left == 3) over_columns<3>(block, x, w, out);
    if (left == 2) over_columns<2>(block, x, w, out);
    if (left == 1) over_columns<1>(block, x, w, out);
  }

  template <int rows>
  static void over_columns(const NodeBlock& block, const T* x, const T* w, T* out) {
    constexpr int most = rows == 1 ? 8 : 4;
    const std::int64_t row = (block.outputs + weight_padding - 1) / weight_padding * weight_padding;
    std::int64_t at = 0;
    for (; at + most * lanes<T> <= row; at += most * lanes<T>) columns<rows, most>(block, row, at, x, w, out);
    for (; at + 2 * lanes<T> <= row; at += 2 * lanes<T>) columns<rows, 2>(block, row, at, x, w, out);
    for (; at < row; at += lanes<T>) columns<rows, 1>(block, row, at, x, w, out);
  }

  template <int rows, int vectors>
  static void columns(const NodeBlock& block, std::int64_t row, std::int64_t at, const T* x, const T* w, T* out) {
    V sums[rows][vectors] = {};
    for (std::int64_t k = 0; k < block.inputs; ++k) {
      V weights[vectors];
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) {
        weights[v] = Channels<T, lanes<T>>{v * lanes<T>}.load(w + k * row + at);
      }
#pragma GCC unroll 5
      for (int r = 0; r < rows; ++r) {
        const T factor = x[r * block.inputs + k];
#pragma GCC unroll 8
        for (int v = 0; v < vectors; ++v) sums[r][v] += factor * weights[v];
      }
    }
    for (int r = 0; r < rows; ++r) {
      for (int v = 0; v < vectors; ++v) {
        const std::int64_t from = at + v * lanes<T>, left = block.outputs - from;
        T* to = out + r * block.outputs + from;
        if (left >= lanes<T>) {
          Channels<T, lanes<T>>{0}.store(to, sums[r][v]);
        } else if (left > 0) {
          std::memcpy(to, &sums[r][v], left * sizeof(T));
        }
      }
    }
  }
};

}  // namespace vitreous
