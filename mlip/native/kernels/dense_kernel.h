// What a compiled dense layer offers: functions over a range of rows, for the threads of the caller.
#pragma once

#include <cstdint>

namespace vitreous {

// Rows that are computed at once: ranges of them waste nothing if they are multiples of it.
constexpr std::int64_t dense_tile = 48;

// Columns of one matrix that lie in several places.
template <class T>
struct DensePart {
  T* rows;
  std::int64_t row_stride, width;
};
template <class T>
struct DenseParts {
  const DensePart<T>* part;
  int count;
};

// A matrix, its columns filled up by zeros to a multiple of `DenseKernel::padding`; null stands for zero.
template <class T>
struct DenseMatrix {
  const T* numbers;
  std::int64_t rows, row_stride;
};

// z = x W, y = z or, `activated`, silu(z).
template <class T>
struct DenseLayer {
  std::int64_t inputs, outputs;  // (K, N) of W
  bool activated;
  DenseMatrix<T> w, transposed;
  const T* z;  // (E, N), of activated layers
};

template <class T>
struct DenseKernel {
  std::int64_t number_bytes, padding;  // of T; of columns
  // `z` is written where the layer is activated.
  void (*forward)(std::int64_t begin, std::int64_t end, const DenseLayer<T>&, DenseParts<const T> x, DenseParts<T> y,
                  T* z);
  // Gradients of <g, y>: sets gx, and adds to gw unless that is null.
  void (*backward)(std::int64_t begin, std::int64_t end, const DenseLayer<T>&, DenseParts<const T> x,
                   DenseParts<const T> g, DenseParts<T> gx, T* gw);
  // Gradients of <hx, gx> + <hw, gw>: sets dg and dx, adds to dw.
  void (*second)(std::int64_t begin, std::int64_t end, const DenseLayer<T>&, DenseParts<const T> x,
                 DenseParts<const T> g, DenseParts<const T> hx, const DenseMatrix<T>& hw,
                 const DenseMatrix<T>& hw_transposed, DenseParts<T> dg, DenseParts<T> dx, T* dw);
};

}  // namespace vitreous
