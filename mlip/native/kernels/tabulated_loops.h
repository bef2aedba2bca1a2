// Loops over centres and their edges, as many at a time as a vector holds, around generated arithmetic.
//
// A `Layer` has the widths `features`, `harmonics`, `weights`, `result`, the number of `entries` of its coupling
// matrices, set_entries, and for the edges of a `Group`: forward; for one of them: backward.
#pragma once

#include "tabulated_kernel.h"
#include "vectors.h"

namespace vitreous {

// A cubic polynomial of t, channel by channel.
template <class T, class C>
struct Cubic {
  Vector<T> c0, c1, c2, c3;
  T t;

  Cubic(const C& c, const T* row, int mul, T at)
      : c0(c.load(row)), c1(c.load(row + mul)), c2(c.load(row + 2 * mul)), c3(c.load(row + 3 * mul)), t(at) {}
  Vector<T> value() const { return c0 + t * (c1 + t * (c2 + t * c3)); }
  Vector<T> slope() const { return c1 + t * (T(2) * c2 + (T(3) * t) * c3); }
};

// Up to `size` edges of one centre.
template <class Layer, class T>
struct Group {
  static constexpr int size = lanes<T>;
  using V = Vector<T>;

  // Numbers of one edge among those of the group, number after number.
  struct Numbers {
    const T* first;
    T operator[](int i) const { return first[i * size]; }
  };

  int count;
  std::int64_t neighbor[size];
  const T* piece[size];
  T t[size];
  V entries[Layer::entries];

  Group(const TabulatedEdges<T>& edges, std::int64_t first, std::int64_t end, const T* y) {
    count = end - first < size ? int(end - first) : size;
    T harmonics[Layer::harmonics * size] = {};
    for (int k = 0; k < count; ++k) {
      const std::int64_t e = first + k;
      for (int b = 0; b < Layer::harmonics; ++b) harmonics[b * size + k] = y[e * Layer::harmonics + b];
      neighbor[k] = edges.neighbor[e];
      const double position = edges.length[e] < 1.0 ? edges.length[e] * double(edges.pieces) : double(edges.pieces);
      const std::int64_t at = std::int64_t(position);
      piece[k] = edges.table + at * 4 * Layer::weights;
      t[k] = T(position - double(at));
    }
    V of_edges[Layer::harmonics];
    std::memcpy(of_edges, harmonics, sizeof harmonics);
    Layer::set_entries(of_edges, entries);
  }

  Numbers entries_of(int k) const { return {reinterpret_cast<const T*>(entries) + k}; }

  template <class C>
  Cubic<T, C> weights(const C& c, int k, int start, int mul) const {
    return {c, piece[k] + 4 * start, mul, t[k]};
  }
};

template <class Layer, class T>
struct TabulatedLoops {
  static void forward(std::int64_t begin, std::int64_t end, const TabulatedEdges<T>& edges, const T* x, const T* y,
                      T* out) {
    for (std::int64_t n = begin; n < end; ++n) {
      T* row = out + n * Layer::result;
      std::memset(row, 0, Layer::result * sizeof(T));
      for (std::int64_t e = edges.start[n]; e < edges.start[n + 1]; e += lanes<T>) {
        Layer::forward(Group<Layer, T>(edges, e, edges.start[n + 1], y), x, row);
      }
    }
  }

  static void backward(std::int64_t begin, std::int64_t end, const TabulatedEdges<T>& edges, const T* x, const T* y,
                       const T* g, T* gx, T* gy, double* glength) {
    for (std::int64_t n = begin; n < end; ++n) {
      for (std::int64_t e = edges.start[n]; e < edges.start[n + 1]; e += lanes<T>) {
        const Group<Layer, T> group(edges, e, edges.start[n + 1], y);
        for (int k = 0; k < group.count; ++k) {
          const std::int64_t at = group.neighbor[k] * Layer::features;
          Vector<T> sums[Layer::harmonics + 1];  // by the harmonics and by t
          Layer::backward(group, k, x + at, g + n * Layer::result, gx + at, sums);
          for (int b = 0; b < Layer::harmonics; ++b) gy[(e + k) * Layer::harmonics + b] = sum_of_lanes<T>(sums[b]);
          glength[e + k] = double(sum_of_lanes<T>(sums[Layer::harmonics])) * double(edges.pieces);
        }
      }
    }
  }

  static constexpr TabulatedKernel<T> kernel = {
      sizeof(T), Layer::features, Layer::harmonics, Layer::weights, Layer::result, forward, backward};
};

}  // namespace vitreous
