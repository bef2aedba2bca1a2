// Loops over edges of the product with the matrix of a pair of species.
#pragma once

#include "paired_kernel.h"
#include "vectors.h"

namespace vitreous {

template <class T>
struct PairedLoops {
  using V = Vector<T>;
  using Whole = Channels<T, lanes<T>>;

  static void forward(std::int64_t begin, std::int64_t end, const PairedSizes& sizes, const T* x, const T* m, bool add,
                      T* y) {
    const auto [inputs, outputs, pair] = sizes;
    for (std::int64_t e = begin; e < end; ++e) {
      const T *matrix = m + pair[e] * inputs * outputs, *row = x + e * inputs;
      over_columns(outputs, [&](auto vectors, std::int64_t at) {
        constexpr int count = decltype(vectors)::value;
        V sums[count] = {};
        if (add) load<count>(y + e * outputs + at, sums);
        for (std::int64_t k = 0; k < inputs; ++k) {
          for (int v = 0; v < count; ++v) {
            sums[v] += row[k] * Whole{v * lanes<T>}.load(matrix + k * outputs + at);
          }
        }
        for (int v = 0; v < count; ++v) Whole{v * lanes<T>}.store(y + e * outputs + at, sums[v]);
      });
    }
  }

  static void backward(std::int64_t begin, std::int64_t end, const PairedSizes& sizes, const T* x, const T* m,
                       const T* g, T* gx, T* gm) {
    const auto [inputs, outputs, pair] = sizes;
    for (std::int64_t e = begin; e < end; ++e) {
      const std::int64_t matrix = pair[e] * inputs * outputs;
      const T* of_edge = g + e * outputs;
      for (std::int64_t k = 0; k < inputs; ++k) {
        const std::int64_t row = matrix + k * outputs;
        V sum = {};
        for (std::int64_t at = 0; at < outputs; at += lanes<T>) {
          const V g_at = Whole{0}.load(of_edge + at);
          sum += g_at * Whole{0}.load(m + row + at);
          if (gm) Whole{0}.add(gm + row + at, x[e * inputs + k] * g_at);
        }
        if (gx) gx[e * inputs + k] = sum_of_lanes<T>(sum);
      }
    }
  }

  static constexpr PairedKernel<T> kernel = {sizeof(T), lanes<T>, forward, backward};

 private:
  template <int count>
  static void load(const T* from, V* v) {
    for (int i = 0; i < count; ++i) v[i] = Whole{i * lanes<T>}.load(from);
  }

  // Four vectors of columns at a time, then the others.
  template <class Body>
  static void over_columns(std::int64_t columns, Body body) {
    std::int64_t at = 0;
    for (; at + 4 * lanes<T> <= columns; at += 4 * lanes<T>) body(Count<4>{}, at);
    for (; at < columns; at += lanes<T>) body(Count<1>{}, at);
  }
  template <int count>
  struct Count {
    static constexpr int value = count;
  };
};

}  // namespace vitreous
