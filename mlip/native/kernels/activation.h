// The activation of a perceptron, silu(z) = z / (1 + exp(-z)), and its derivatives, for vectors of numbers.
#pragma once

#include <cstdint>

#include "vectors.h"

namespace vitreous {

template <class T>
struct Exponent;
template <>
struct Exponent<float> {
  typedef std::int32_t Bits __attribute__((vector_size(vector_bytes)));
  static constexpr int fraction_bits = 23, bias = 127, degree = 7;
  static constexpr float largest = 87.0f;
};
template <>
struct Exponent<double> {
  typedef std::int64_t Bits __attribute__((vector_size(vector_bytes)));
  static constexpr int fraction_bits = 52, bias = 1023, degree = 13;
  static constexpr double largest = 708.0;
};

struct InverseFactorials {
  double of[14];
  constexpr InverseFactorials() : of() {
    of[0] = 1.0;
    for (int k = 1; k < 14; ++k) of[k] = of[k - 1] / k;
  }
};
inline constexpr InverseFactorials inverse_factorials;

// exp(x) = 2^n exp(r), n the integer next to x / log(2) and exp(r) by Taylor's series; x is kept where 2^n is a number.
template <class T>
inline Vector<T> exponential(Vector<T> x) {
  using E = Exponent<T>;
  using Bits = typename E::Bits;
  constexpr T log2_high = T(0.693359375), log2_low = T(0.693147180559945309417 - 0.693359375);
  constexpr T to_integer = T(3) * T(std::int64_t(1) << (E::fraction_bits - 1));  // adding it rounds to integers
  x = x > E::largest ? E::largest + Vector<T>{} : x;
  x = x < -E::largest ? -E::largest + Vector<T>{} : x;
  // Bits, not numbers, so that no compiler takes the sum and the difference for nothing.
  const Vector<T> shifted = x * T(1.44269504088896340736) + to_integer;
  Bits bits;
  std::memcpy(&bits, &shifted, sizeof(bits));
  Bits zero;
  const Vector<T> at_zero = to_integer + Vector<T>{};
  std::memcpy(&zero, &at_zero, sizeof(zero));
  const Bits n = bits - zero;
  const Vector<T> whole = __builtin_convertvector(n, Vector<T>);
  const Vector<T> r = (x - whole * log2_high) - whole * log2_low;
  Vector<T> sum = Vector<T>{} + T(inverse_factorials.of[E::degree]);
#pragma GCC unroll 13
  for (int k = E::degree - 1; k >= 0; --k) sum = sum * r + T(inverse_factorials.of[k]);
  const Bits power = (n + E::bias) << E::fraction_bits;
  Vector<T> scale;
  std::memcpy(&scale, &power, sizeof(scale));
  return sum * scale;
}

template <class T>
struct Silu {
  Vector<T> z, gate;  // gate = 1 / (1 + exp(-z))

  explicit Silu(Vector<T> z) : z(z), gate(T(1) / (T(1) + exponential<T>(-z))) {}
  Vector<T> value() const { return z * gate; }
  Vector<T> first() const { return gate * (T(1) + z * (T(1) - gate)); }
  Vector<T> second() const { return gate * (T(1) - gate) * (T(2) + z * (T(1) - T(2) * gate)); }
};

}  // namespace vitreous
