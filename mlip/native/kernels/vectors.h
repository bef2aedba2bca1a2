// Vectors of channels, as wide as the instructions that a file is compiled for.
#pragma once

#include <cstring>

namespace vitreous {

#if defined(__AVX512F__)
constexpr int vector_bytes = 64;
#elif defined(__AVX2__)
constexpr int vector_bytes = 32;
#else
constexpr int vector_bytes = 16;
#endif

template <class T, int bytes = vector_bytes>
struct VectorOf {
  typedef T type __attribute__((vector_size(bytes)));
};
template <class T>
using Vector = typename VectorOf<T>::type;
template <class T>
constexpr int lanes = vector_bytes / sizeof(T);

// `count` channels from `at` on: a whole vector, or the last few of a row; lanes beyond them hold zeros.
template <class T, int count>
struct Channels {
  int at;

  Vector<T> load(const T* row) const {
    Vector<T> v = {};
    std::memcpy(&v, row + at, count * sizeof(T));
    return v;
  }
  void store(T* row, Vector<T> v) const { std::memcpy(row + at, &v, count * sizeof(T)); }
  void add(T* row, Vector<T> v) const { store(row, load(row) + v); }
};

// Calls `body` for all channels of a row, vector by vector.
template <class T, int channels, class Body>
inline void over_channels(Body body) {
  constexpr int whole = channels - channels % lanes<T>;
  for (int at = 0; at < whole; at += lanes<T>) body(Channels<T, lanes<T>>{at});
  if constexpr (whole < channels) body(Channels<T, channels - whole>{whole});
}

// Halves added until 16 bytes are left: compilers make of a plain loop over lanes many times the instructions.
template <class T, int bytes = vector_bytes>
inline T sum_of_lanes(typename VectorOf<T, bytes>::type v) {
  if constexpr (bytes > 16) {
    typename VectorOf<T, bytes / 2>::type low, high;
    std::memcpy(&low, &v, bytes / 2);
    std::memcpy(&high, reinterpret_cast<const char*>(&v) + bytes / 2, bytes / 2);
    return sum_of_lanes<T, bytes / 2>(low + high);
  } else {
    T sum = v[0];
    for (int lane = 1; lane < bytes / int(sizeof(T)); ++lane) sum += v[lane];
    return sum;
  }
}

}  // namespace vitreous
