// From environments to matrices of a centre, and back: the sums over paths and 3j symbols, once per centre.
#pragma once

#include "vectors.h"

namespace vitreous {

// A path takes a component of the environment; its terms are those from `first_term` to the next pair's.
struct EnvironmentPair {
  int path, component, first_term;
};

template <class T>
struct EnvironmentTerm {
  int entry;  // of the matrix
  T value;    // of the coupling
};

// For the channels `c`; matrices and environments are arrays of vectors.
template <class Layer, class T, class C>
struct EnvironmentCoupling {
  using V = Vector<T>;
  static constexpr int entries = Layer::result * Layer::features;
  C c;

  V path(const T* paths, int pair) const { return c.load(paths + Layer::pairs[pair].path * Layer::channels); }

  void matrix(const T* paths, const V* environment, V* matrix) const {
    for (int i = 0; i < entries; ++i) matrix[i] = V{};
    for (int pair = 0; pair < Layer::num_pairs; ++pair) {
      add(pair, path(paths, pair) * environment[Layer::pairs[pair].component], matrix);
    }
  }

  // The change of the matrix with environment and paths.
  void matrix_change(const T* paths, const V* environment, const T* h_paths, const V* h_environment,
                     V* matrix) const {
    for (int i = 0; i < entries; ++i) matrix[i] = V{};
    for (int pair = 0; pair < Layer::num_pairs; ++pair) {
      const int component = Layer::pairs[pair].component;
      add(pair, path(paths, pair) * h_environment[component] + path(h_paths, pair) * environment[component], matrix);
    }
  }

  // Adds the gradients of <g, matrix>; `g_paths` may be null.
  void backward(const T* paths, const V* environment, const V* g, V* g_environment, T* g_paths) const {
    for (int pair = 0; pair < Layer::num_pairs; ++pair) {
      const V sum = contract(pair, g);
      g_environment[Layer::pairs[pair].component] += path(paths, pair) * sum;
      if (g_paths) add_path(g_paths, pair, environment[Layer::pairs[pair].component] * sum);
    }
  }

  // Adds the gradients of <g, matrix> by the environment alone.
  void environment_backward(const T* paths, const V* g, V* g_environment) const {
    for (int pair = 0; pair < Layer::num_pairs; ++pair) {
      g_environment[Layer::pairs[pair].component] += path(paths, pair) * contract(pair, g);
    }
  }

 private:
  void add(int pair, V product, V* matrix) const {
    for (int t = Layer::pairs[pair].first_term; t < Layer::pairs[pair + 1].first_term; ++t) {
      matrix[Layer::terms[t].entry] += Layer::terms[t].value * product;
    }
  }
  V contract(int pair, const V* g) const {
    V sum = {};
    for (int t = Layer::pairs[pair].first_term; t < Layer::pairs[pair + 1].first_term; ++t) {
      sum += Layer::terms[t].value * g[Layer::terms[t].entry];
    }
    return sum;
  }
  void add_path(T* g_paths, int pair, V v) const { c.add(g_paths + Layer::pairs[pair].path * Layer::channels, v); }
};

}  // namespace vitreous
