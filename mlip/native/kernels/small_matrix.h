// Products of small matrices, each entry a vector of channels.
#pragma once

#include "vectors.h"

namespace vitreous {

// y = A x with A of (rows, columns).
template <int rows, int columns, class V>
inline void multiply(const V* matrix, const V* x, V* y) {
#pragma GCC unroll 9
  for (int k = 0; k < rows; ++k) {
    V sum = matrix[k * columns] * x[0];
#pragma GCC unroll 9
    for (int i = 1; i < columns; ++i) sum += matrix[k * columns + i] * x[i];
    y[k] = sum;
  }
}

// x = A^T y.
template <int rows, int columns, class V>
inline void multiply_transposed(const V* matrix, const V* y, V* x) {
#pragma GCC unroll 9
  for (int i = 0; i < columns; ++i) {
    V sum = matrix[i] * y[0];
#pragma GCC unroll 9
    for (int k = 1; k < rows; ++k) sum += matrix[k * columns + i] * y[k];
    x[i] = sum;
  }
}

// A += sum over t of y_t x_t^T, a few columns at a time, which stay in registers.
template <int rows, int columns, int from = 0, class V>
inline void add_outer_products(int count, const V (*ys)[rows], const V (*xs)[columns], V* matrix) {
  constexpr int width = columns - from < 12 ? columns - from : 8;
  for (int k = 0; k < rows; ++k) {
    V sums[width];
#pragma GCC unroll 12
    for (int i = 0; i < width; ++i) sums[i] = matrix[k * columns + from + i];
    for (int t = 0; t < count; ++t) {
#pragma GCC unroll 12
      for (int i = 0; i < width; ++i) sums[i] += ys[t][k] * xs[t][from + i];
    }
#pragma GCC unroll 12
    for (int i = 0; i < width; ++i) matrix[k * columns + from + i] = sums[i];
  }
  if constexpr (from + width < columns) add_outer_products<rows, columns, from + width>(count, ys, xs, matrix);
}

}  // namespace vitreous
