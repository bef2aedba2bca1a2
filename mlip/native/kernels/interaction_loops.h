// Loops over centres and edges around the generated arithmetic of one edge.
//
// A `Layer` has the widths `features`, `harmonics`, `weights`, `result`, the number of `entries` of its coupling
// matrices, which are linear in the harmonics, and for one edge: set_entries, forward, backward, second.
#pragma once

#include <type_traits>

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
    over_edges(begin, end, edges, visit, [&](std::int64_t n, std::int64_t e, auto add) {
      T entries[Layer::entries];
      Layer::set_entries(y + e * Layer::harmonics, entries);
      const std::int64_t at = edges.neighbor[e] * Layer::features;
      Layer::template backward<add>(x + at, entries, weights_of(edges, e, w), g + n * Layer::result, gx + at,
                                    gy + e * Layer::harmonics, weights_of(edges, e, gw));
    });
  }

  static void second(std::int64_t begin, std::int64_t end, const Edges& edges, Visit visit, const T* x, const T* y,
                     const T* w, const T* g, const T* hx, const T* hy, const T* hw, T* dx, T* dy, T* dw, T* dg) {
    over_edges(begin, end, edges, visit, [&](std::int64_t n, std::int64_t e, auto add) {
      T entries[Layer::entries], h_entries[Layer::entries];
      Layer::set_entries(y + e * Layer::harmonics, entries);
      Layer::set_entries(hy + e * Layer::harmonics, h_entries);
      const std::int64_t at = edges.neighbor[e] * Layer::features, of_n = n * Layer::result;
      const auto run = [&](auto by_harmonics) {
        Layer::template second<add, by_harmonics>(x + at, entries, weights_of(edges, e, w), g + of_n, hx + at,
                                                  h_entries, weights_of(edges, e, hw), dx + at,
                                                  by_harmonics ? dy + e * Layer::harmonics : nullptr,
                                                  weights_of(edges, e, dw), dg + of_n);
      };
      if (dy) run(std::true_type());
      else run(std::false_type());
    });
  }

  static constexpr InteractionKernel<T> kernel = {
      sizeof(T), Layer::features, Layer::harmonics, Layer::weights, Layer::result, forward, backward, second};

 private:
  // Calls `body` with centre, edge, and whether its row of weights was visited before.
  template <class Body>
  static void over_edges(std::int64_t begin, std::int64_t end, const Edges& edges, Visit visit, Body body) {
    for (std::int64_t n = begin; n < end; ++n) {
      for (std::int64_t e = edges.start[n]; e < edges.start[n + 1]; ++e) {
        const bool first = edges.weight_row[e] >= 0;
        if (visit == Visit::first && first) body(n, e, std::false_type());
        if (visit == Visit::second && !first) body(n, e, std::true_type());
      }
    }
  }

  template <class Weights>
  static Weights* weights_of(const Edges& edges, std::int64_t e, Weights* weights) {
    const std::int64_t row = edges.weight_row[e];
    return weights + (row >= 0 ? row : ~row) * Layer::weights;
  }
};

}  // namespace vitreous
