// Products of matrices that stay in the cache: a few rows against a few vectors of columns, in registers.
#pragma once

#include <cstdint>

#include "vectors.h"

namespace vitreous {

// Sums of `rows` x `vectors` fill the registers, whose number goes with their width.
constexpr int tile_rows = 6;
constexpr int tile_vectors = vector_bytes == 64 ? 4 : 2;

constexpr std::int64_t round_up(std::int64_t count, std::int64_t multiple) {
  return (count + multiple - 1) / multiple * multiple;
}

// A matrix whose element (r, k) lies at r * by_row + k * by_column.
template <class T>
struct Strided {
  const T* at;
  std::int64_t by_row, by_column;
};

template <bool add, int vectors, class T>
inline void multiply_registers(Strided<T> a, std::int64_t depth, const T* b, std::int64_t b_row, T* c,
                               std::int64_t c_row) {
  using V = Vector<T>;
  V sums[tile_rows][vectors];
#pragma GCC unroll 6
  for (int r = 0; r < tile_rows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) {
      sums[r][v] = add ? Channels<T, lanes<T>>{v * lanes<T>}.load(c + r * c_row) : V{};
    }
  }
  for (std::int64_t k = 0; k < depth; ++k) {
    V columns[vectors];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) columns[v] = Channels<T, lanes<T>>{v * lanes<T>}.load(b + k * b_row);
#pragma GCC unroll 6
    for (int r = 0; r < tile_rows; ++r) {
      const T factor = a.at[r * a.by_row + k * a.by_column];
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) sums[r][v] += factor * columns[v];
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < tile_rows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) Channels<T, lanes<T>>{v * lanes<T>}.store(c + r * c_row, sums[r][v]);
  }
}

template <bool add, int vectors, class T>
inline void multiply_panel(std::int64_t rows, Strided<T> a, std::int64_t depth, const T* b, std::int64_t b_row, T* c,
                           std::int64_t c_row) {
  for (std::int64_t r = 0; r < rows; r += tile_rows) {
    multiply_registers<add, vectors>({a.at + r * a.by_row, a.by_row, a.by_column}, depth, b, b_row, c + r * c_row,
                                     c_row);
  }
}

// C = A B or, `add`, C += A B. Rows are a multiple of `tile_rows`, columns of a vector.
template <bool add, class T>
inline void multiply_tile(std::int64_t rows, std::int64_t columns, std::int64_t depth, Strided<T> a, const T* b,
                          std::int64_t b_row, T* c, std::int64_t c_row) {
  constexpr int panel = tile_vectors * lanes<T>;
  std::int64_t at = 0;
  for (; at + panel <= columns; at += panel) {
    multiply_panel<add, tile_vectors>(rows, a, depth, b + at, b_row, c + at, c_row);
  }
  for (; at + 2 * lanes<T> <= columns; at += 2 * lanes<T>) {
    multiply_panel<add, 2>(rows, a, depth, b + at, b_row, c + at, c_row);
  }
  for (; at < columns; at += lanes<T>) multiply_panel<add, 1>(rows, a, depth, b + at, b_row, c + at, c_row);
}

}  // namespace vitreous
