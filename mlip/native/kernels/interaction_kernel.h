// What a compiled interaction offers: functions over a range of centres, for the threads of the caller.
#pragma once

#include <cstdint>

namespace vitreous {

// Edges sorted by their centre. An edge and its reverse may share a row of weights: `weight_row` holds the row
// of the edge that visits it first, and its complement (~row) for the other.
struct Edges {
  const std::int64_t* start;       // (N + 1) first edge of each centre
  const std::int64_t* neighbor;    // (E)
  const std::int64_t* weight_row;  // (E)
};

// Which edges a pass takes: those that visit their row of weights first, the others, or all.
enum class Visit { first, second };

// out = sum over edges of weights * (features x harmonics); see mlip/nn/kernels/reference.py.
template <class T>
struct InteractionKernel {
  std::int64_t number_bytes;                          // of T
  std::int64_t features, harmonics, weights, result;  // widths of the rows
  void (*forward)(std::int64_t begin, std::int64_t end, const Edges&, const T* x, const T* y, const T* w, T* out);
  // Gradients of <g, out>: adds to gx, the rows of neighbours; sets gy; sets or, second, adds to gw.
  void (*backward)(std::int64_t begin, std::int64_t end, const Edges&, Visit, const T* x, const T* y, const T* w,
                   const T* g, T* gx, T* gy, T* gw);
  // Gradients of <hx, gx> + <hy, gy> + <hw, gw>: by x, y, w like `backward`, by y unless dy is null; adds to dg.
  void (*second)(std::int64_t begin, std::int64_t end, const Edges&, Visit, const T* x, const T* y, const T* w,
                 const T* g, const T* hx, const T* hy, const T* hw, T* dx, T* dy, T* dw, T* dg);
};

}  // namespace vitreous
