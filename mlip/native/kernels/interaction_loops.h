// Loops over centres and edges around the generated arithmetic of one edge.
//
// A `Layer` has the widths `features`, `harmonics`, `weights`, `result`, the number of `entries` of its coupling
// matrices, which are linear in the harmonics, and for one edge: set_entries, entries_backward, forward, backward,
// second.
#pragma once

#include "interaction_kernel.h"
#include "vectors.h"

namespace vitreous {

template <class Layer, class T>
struct InteractionLoops {
  static void forward(std::int64_t begin, std::int64_t end, const Edges& edges, const T* x, const T* y,
                      const T* w, T* out) {
    for (std::int64_t n = begin; n < end; ++n) {
      T* row = out + n * Layer::result;
      std::memset(row, 0, Layer::result * sizeof(T));
      for (std::int64_t e = edges.start[n]; e < edges.start[n + 1]; ++e) {
        T entries[Layer::entries];
        Layer::set_entries(y + e * Layer::harmonics, entries);
        Layer::forward(x + edges.neighbor[e] * Layer::features, entries, weights_of(edges, e, w), row);
      }
    }
  }

  static void backward(std::int64_t begin, std::int64_t end, const Edges& edges, Visit visit, const T* x,
                       const T* y, const T* w, const T* g, T* gx, T* gy, T* gw) {
    for (std::int64_t n = begin; n < end; ++n) {
      for (std::int64_t e = edges.start[n]; e < edges.start[n + 1]; ++e) {
        if (is_first(edges, e) != (visit == Visit::first)) continue;
        T entries[Layer::entries];
        Layer::set_entries(y + e * Layer::harmonics, entries);
        Vector<T> gradients[Layer::entries] = {};
        const std::int64_t at = edges.neighbor[e] * Layer::features;
        if (visit == Visit::first) {
          Layer::template backward<false>(x + at, entries, weights_of(edges, e, w), g + n * Layer::result, gx + at,
                                          gradients, weights_of(edges, e, gw));
        } else {
          Layer::template backward<true>(x + at, entries, weights_of(edges, e, w), g + n * Layer::result, gx + at,
                                         gradients, weights_of(edges, e, gw));
        }
        set_harmonics(gradients, gy + e * Layer::harmonics);
      }
    }
  }

  static void second(std::int64_t begin, std::int64_t end, const Edges& edges, Visit visit, const T* x, const T* y,
                     const T* w, const T* g, const T* hx, const T* hy, const T* hw, T* dx, T* dy, T* dw, T* dg) {
    for (std::int64_t n = begin; n < end; ++n) {
      for (std::int64_t e = edges.start[n]; e < edges.start[n + 1]; ++e) {
        if (is_first(edges, e) != (visit == Visit::first)) continue;
        T entries[Layer::entries], h_entries[Layer::entries];
        Layer::set_entries(y + e * Layer::harmonics, entries);
        Layer::set_entries(hy + e * Layer::harmonics, h_entries);
        Vector<T> gradients[Layer::entries] = {};
        const std::int64_t at = edges.neighbor[e] * Layer::features, of_n = n * Layer::result;
        const T *w_e = weights_of(edges, e, w), *hw_e = weights_of(edges, e, hw);
        T* dw_e = weights_of(edges, e, dw);
        if (visit == Visit::first) {
          Layer::template second<false>(x + at, entries, w_e, g + of_n, hx + at, h_entries, hw_e, dx + at, gradients,
                                        dw_e, dg + of_n);
        } else {
          Layer::template second<true>(x + at, entries, w_e, g + of_n, hx + at, h_entries, hw_e, dx + at, gradients,
                                       dw_e, dg + of_n);
        }
        set_harmonics(gradients, dy + e * Layer::harmonics);
      }
    }
  }

  static constexpr InteractionKernel<T> kernel = {
      sizeof(T), Layer::features, Layer::harmonics, Layer::weights, Layer::result, forward, backward, second};

 private:
  static bool is_first(const Edges& edges, std::int64_t e) { return edges.weight_row[e] >= 0; }

  template <class Weights>
  static Weights* weights_of(const Edges& edges, std::int64_t e, Weights* weights) {
    const std::int64_t row = edges.weight_row[e];
    return weights + (row >= 0 ? row : ~row) * Layer::weights;
  }

  static void set_harmonics(const Vector<T>* gradients, T* gy) {
    T sums[Layer::entries];
    for (int i = 0; i < Layer::entries; ++i) sums[i] = sum_of_lanes<T>(gradients[i]);
    Layer::entries_backward(sums, gy);
  }
};

}  // namespace vitreous
