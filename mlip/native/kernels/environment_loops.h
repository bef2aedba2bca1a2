// Loops over centres and edges of the product with environments, vector by vector of channels.
//
// A `Layer` has the numbers `channels`, `degrees` of the harmonics, `features` and `result` (components), `paths`,
// `of_harmonics` (whether features are given as weights of the harmonics), and the couplings `pairs` and `terms`.
#pragma once

#include "environment_coupling.h"
#include "environment_kernel.h"
#include "small_matrix.h"

namespace vitreous {

template <class Layer, class T>
struct EnvironmentLoops {
  using V = Vector<T>;
  using Inputs = EnvironmentInputs<T>;
  using Gradients = EnvironmentGradients<T>;
  using Result = EnvironmentResult<T>;
  using Given = EnvironmentResult<const T>;
  using Tangents = EnvironmentTangents<T>;
  static constexpr int U = Layer::channels, degrees = Layer::degrees, D = Layer::features, K = Layer::result;
  static constexpr int harmonics = degrees * degrees, weights = degrees * U;
  static constexpr int row = Layer::of_harmonics ? weights : D * U;  // of given features
  static constexpr int all = K > 1 ? K * U : 0;                 // of the result, where not the scalars alone
  static constexpr int tile = 8;  // edges whose outer products are summed at once

  static void forward(std::int64_t begin, std::int64_t end, const Inputs& in, const Result& out) {
    over_centres(begin, end, in, [&](auto c, std::int64_t n) {
      V environment[harmonics], matrix[K * D];
      sum_environment(c, in, n, in.harmonics, in.weights, in.weight_stride, environment);
      coupling(c).matrix(in.paths, environment, matrix);
      for (std::int64_t e = in.start[n]; e < in.start[n + 1]; ++e) {
        V x[D], y[K];
        load_features(c, in, e, x);
        multiply<K, D>(matrix, x, y);
        store_result(c, out, e, y);
      }
    });
  }

  static void backward(std::int64_t begin, std::int64_t end, const Inputs& in, const Given& g,
                       const Gradients& to) {
    clear_harmonics(begin, end, in, to);
    over_centres(begin, end, in, [&](auto c, std::int64_t n) {
      V environment[harmonics], matrix[K * D], g_matrix[K * D] = {}, g_environment[harmonics] = {};
      sum_environment(c, in, n, in.harmonics, in.weights, in.weight_stride, environment);
      coupling(c).matrix(in.paths, environment, matrix);
      over_tiles(in, n, [&](std::int64_t e, int count) {
        V xs[tile][D], gs[tile][K], gx[D];
        for (int t = 0; t < count; ++t) {
          load_features(c, in, e + t, xs[t]);
          load_result(c, g, e + t, gs[t]);
          multiply_transposed<K, D>(matrix, gs[t], gx);
          features_backward<true>(c, e + t, in.features, in.feature_stride, in.harmonics, gx, to);
        }
        add_outer_products<K, D>(count, gs, xs, g_matrix);
      });
      coupling(c).backward(in.paths, environment, g_matrix, g_environment, to.paths);
      for (V& v : g_environment) v *= in.scale[n];
      for (std::int64_t e = in.start[n]; e < in.start[n + 1]; ++e) {
        environment_backward<true>(c, e, in.weights, in.weight_stride, in.harmonics, g_environment, to);
      }
    });
  }

  // With a prime for the change along the tangents h, x' = h.features, the scalar product is the change of
  // <g, out>, that is <g, matrix' x + matrix x'>.
  static void second(std::int64_t begin, std::int64_t end, const Inputs& in, const Given& g, const Tangents& h,
                     const Gradients& to, const Result& dg) {
    clear_harmonics(begin, end, in, to);
    over_centres(begin, end, in, [&](auto c, std::int64_t n) {
      V environment[harmonics], h_environment[harmonics], more[harmonics], matrix[K * D], h_matrix[K * D];
      sum_environment(c, in, n, in.harmonics, in.weights, in.weight_stride, environment);
      sum_environment(c, in, n, h.harmonics, in.weights, in.weight_stride, h_environment);
      sum_environment(c, in, n, in.harmonics, h.weights, weights, more);
      for (int j = 0; j < harmonics; ++j) h_environment[j] += more[j];
      coupling(c).matrix(in.paths, environment, matrix);
      coupling(c).matrix_change(in.paths, environment, h.paths, h_environment, h_matrix);
      V g_matrix[K * D] = {}, gh_matrix[K * D] = {};  // by matrix and by matrix'
      over_tiles(in, n, [&](std::int64_t e, int count) {
        V xs[tile][D], hs[tile][D], gs[tile][K], y[K], more_y[K], dx[D];
        for (int t = 0; t < count; ++t) {
          load_features(c, in, e + t, xs[t]);
          load_features_change(c, in, h, e + t, hs[t]);
          load_result(c, g, e + t, gs[t]);
          multiply<K, D>(h_matrix, xs[t], y);
          multiply<K, D>(matrix, hs[t], more_y);
          for (int k = 0; k < K; ++k) y[k] += more_y[k];
          store_result(c, dg, e + t, y);
          multiply_transposed<K, D>(h_matrix, gs[t], dx);
          features_backward<true>(c, e + t, in.features, in.feature_stride, in.harmonics, dx, to);
          if constexpr (Layer::of_harmonics) {  // x' depends on features and harmonics, too
            multiply_transposed<K, D>(matrix, gs[t], dx);
            features_backward<false>(c, e + t, h.features, row, h.harmonics, dx, to);
          }
        }
        add_outer_products<K, D>(count, gs, xs, gh_matrix);
        add_outer_products<K, D>(count, gs, hs, g_matrix);
      });
      V g_environment[harmonics] = {}, gh_environment[harmonics] = {};
      coupling(c).backward(in.paths, environment, g_matrix, g_environment, to.paths);
      coupling(c).backward(in.paths, h_environment, gh_matrix, gh_environment, to.paths);
      coupling(c).environment_backward(h.paths, gh_matrix, g_environment);
      for (V& v : g_environment) v *= in.scale[n];
      for (V& v : gh_environment) v *= in.scale[n];
      for (std::int64_t e = in.start[n]; e < in.start[n + 1]; ++e) {
        environment_backward<true>(c, e, in.weights, in.weight_stride, in.harmonics, g_environment, to);
        environment_backward<false>(c, e, h.weights, weights, h.harmonics, gh_environment, to);
      }
    });
  }

  static constexpr EnvironmentKernel<T> kernel = {
      sizeof(T), row, weights, harmonics, all, Layer::paths, U, forward, backward, second};

 private:
  template <class C>
  static EnvironmentCoupling<Layer, T, C> coupling(C c) {
    return {c};
  }

  template <class Body>
  static void over_centres(std::int64_t begin, std::int64_t end, const Inputs& in, Body body) {
    for (std::int64_t n = begin; n < end; ++n) {
      if (in.start[n] == in.start[n + 1]) continue;
      over_channels<T, U>([&](auto c) { body(c, n); });
    }
  }

  template <class Body>
  static void over_tiles(const Inputs& in, std::int64_t n, Body body) {
    for (std::int64_t e = in.start[n]; e < in.start[n + 1]; e += tile) {
      const std::int64_t left = in.start[n + 1] - e;
      body(e, left < tile ? int(left) : tile);
    }
  }

  // Vectors of channels add to gradients of the harmonics one after the other.
  static void clear_harmonics(std::int64_t begin, std::int64_t end, const Inputs& in, const Gradients& to) {
    const std::int64_t first = in.start[begin], last = in.start[end];
    if (first == last) return;  // without edges there may be no memory
    std::memset(to.harmonics + first * harmonics, 0, (last - first) * harmonics * sizeof(T));
  }

  template <int count, class C>
  static void load(C c, const T* from, V* v) {
    for (int i = 0; i < count; ++i) v[i] = c.load(from + i * U);
  }
  template <int count, class C>
  static void store(C c, T* to, const V* v) {
    for (int i = 0; i < count; ++i) c.store(to + i * U, v[i]);
  }

  template <class C>
  static void load_result(C c, const Given& from, std::int64_t e, V* v) {
    v[0] = c.load(from.scalars + e * U);
    if constexpr (K > 1) {
      for (int k = 1; k < K; ++k) v[k] = c.load(from.all + e * all + k * U);
      v[0] += c.load(from.all + e * all);
    }
  }
  template <class C>
  static void store_result(C c, const Result& to, std::int64_t e, const V* v) {
    c.store(to.scalars + e * U, v[0]);
    if constexpr (K > 1) store<K>(c, to.all + e * all, v);
  }

  template <class C>
  static void sum_environment(C c, const Inputs& in, std::int64_t n, const T* y, const T* w, std::int64_t stride,
                              V* sums) {
    for (int j = 0; j < harmonics; ++j) sums[j] = V{};
    for (std::int64_t e = in.start[n]; e < in.start[n + 1]; ++e) {
      for (int l = 0; l < degrees; ++l) {
        const V of_degree = c.load(w + e * stride + l * U);
        for (int j = l * l; j < (l + 1) * (l + 1); ++j) sums[j] += y[e * harmonics + j] * of_degree;
      }
    }
    for (int j = 0; j < harmonics; ++j) sums[j] *= in.scale[n];
  }

  template <class C>
  static void load_features(C c, const Inputs& in, std::int64_t e, V* x) {
    if constexpr (Layer::of_harmonics) {
      for (int j = 0; j < D; ++j) x[j] = V{};
      add_weighted(c, in.features + e * in.feature_stride, in.harmonics + e * harmonics, x);
    } else {
      load<D>(c, in.features + e * in.feature_stride, x);
    }
  }
  template <class C>
  static void load_features_change(C c, const Inputs& in, const Tangents& h, std::int64_t e, V* x) {
    if constexpr (Layer::of_harmonics) {
      for (int j = 0; j < D; ++j) x[j] = V{};
      add_weighted(c, h.features + e * row, in.harmonics + e * harmonics, x);
      add_weighted(c, in.features + e * in.feature_stride, h.harmonics + e * harmonics, x);
    } else {
      load<D>(c, h.features + e * row, x);
    }
  }
  template <class C>
  static void add_weighted(C c, const T* w, const T* y, V* x) {
    for (int l = 0; l < degrees; ++l) {
      const V of_degree = c.load(w + l * U);
      for (int j = l * l; j < (l + 1) * (l + 1); ++j) x[j] += y[j] * of_degree;
    }
  }

  // From gradients of the components to those of the features as given, which are set or added to.
  template <bool set, class C>
  static void features_backward(C c, std::int64_t e, const T* features, std::int64_t stride, const T* y,
                                const V* gx, const Gradients& to) {
    if constexpr (Layer::of_harmonics) {
      weighted_backward<set>(c, features + e * stride, y + e * harmonics, gx, to.features + e * row,
                             to.harmonics + e * harmonics);
    } else {
      store<D>(c, to.features + e * row, gx);
    }
  }
  template <bool set, class C>
  static void environment_backward(C c, std::int64_t e, const T* w, std::int64_t stride, const T* y,
                                   const V* g_environment, const Gradients& to) {
    weighted_backward<set>(c, w + e * stride, y + e * harmonics, g_environment, to.weights + e * weights,
                           to.harmonics + e * harmonics);
  }
  template <bool set, class C>
  static void weighted_backward(C c, const T* w, const T* y, const V* g, T* gw, T* gy) {
    for (int l = 0; l < degrees; ++l) {
      const V of_degree = c.load(w + l * U);
      V sum = {};
      for (int j = l * l; j < (l + 1) * (l + 1); ++j) {
        sum += y[j] * g[j];
        gy[j] += sum_of_lanes<T>(of_degree * g[j]);
      }
      if constexpr (set) c.store(gw + l * U, sum);
      else c.add(gw + l * U, sum);
    }
  }
};

}  // namespace vitreous
