// What a compiled product with environments offers: functions over a range of centres, for the threads of the caller.
#pragma once

#include <cstdint>

namespace vitreous {

// Edges are sorted by their centre; all that is computed for an edge stays with its centre.
//
// A row of features is (component, channel), or (degree, channel): weights of the harmonics that are the features.
// Rows of features and weights lie `feature_stride` and `weight_stride` numbers apart.
template <class T>
struct EnvironmentInputs {
  const std::int64_t* start;  // (N + 1) first edge of each centre
  const T* features;
  const T* weights;    // (E, degrees, channels) of the harmonics in the environment
  const T* harmonics;  // (E, degrees^2)
  const T* paths;      // (P, channels) weights of the paths
  const T* scale;      // (N) of the environments
  std::int64_t feature_stride, weight_stride;
};

// Rows of the result, and once more its scalars, component 0 (E, channels), which others read. Where there is but that
// component, it is there alone.
template <class T>
struct EnvironmentResult {
  T* all;
  T* scalars;
};

// Of each edge its rows, contiguous; of the paths one sum over the range of centres.
template <class T>
struct EnvironmentGradients {
  T* features;
  T* weights;
  T* harmonics;
  T* paths;  // null where nobody asks
};

// What the gradients are multiplied with for the second derivative.
template <class T>
struct EnvironmentTangents {
  const T* features;
  const T* weights;
  const T* harmonics;
  const T* paths;
};

// out = matrix of the centre's environment times features; see mlip/nn/contraction.py.
template <class T>
struct EnvironmentKernel {
  std::int64_t number_bytes;                                   // of T
  std::int64_t features, weights, harmonics, result;           // widths of the rows
  std::int64_t paths, channels;
  void (*forward)(std::int64_t begin, std::int64_t end, const EnvironmentInputs<T>&,
                  const EnvironmentResult<T>& out);
  // Gradients of <g, out>; adds to those of the paths.
  void (*backward)(std::int64_t begin, std::int64_t end, const EnvironmentInputs<T>&,
                   const EnvironmentResult<const T>& g, const EnvironmentGradients<T>&);
  // Gradients of the scalar product of tangents and gradients, by the inputs like `backward`, and dg.
  void (*second)(std::int64_t begin, std::int64_t end, const EnvironmentInputs<T>&,
                 const EnvironmentResult<const T>& g, const EnvironmentTangents<T>&, const EnvironmentGradients<T>&,
                 const EnvironmentResult<T>& dg);
};

}  // namespace vitreous
