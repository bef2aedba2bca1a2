// Numbers that carry derivatives: a formula written once gives values, gradients and second derivatives.
#pragma once

#include <cmath>

#include "vectors.h"

namespace vitreous {

// A value and its derivatives in `directions` directions. S is a vector of doubles, or again a Dual of them.
template <class S, int directions>
struct Dual {
  S value;
  S partial[directions];

  // The derivative of f(value), by the chain rule.
  Dual chain(S f, S slope) const {
    Dual result{f, {}};
    for (int i = 0; i < directions; ++i) result.partial[i] = slope * partial[i];
    return result;
  }
};

template <class S, int n>
Dual<S, n> operator+(const Dual<S, n>& a, const Dual<S, n>& b) {
  Dual<S, n> sum{a.value + b.value, {}};
  for (int i = 0; i < n; ++i) sum.partial[i] = a.partial[i] + b.partial[i];
  return sum;
}
template <class S, int n>
Dual<S, n> operator-(const Dual<S, n>& a, const Dual<S, n>& b) {
  Dual<S, n> difference{a.value - b.value, {}};
  for (int i = 0; i < n; ++i) difference.partial[i] = a.partial[i] - b.partial[i];
  return difference;
}
template <class S, int n>
Dual<S, n> operator*(const Dual<S, n>& a, const Dual<S, n>& b) {
  Dual<S, n> product{a.value * b.value, {}};
  for (int i = 0; i < n; ++i) product.partial[i] = a.partial[i] * b.value + a.value * b.partial[i];
  return product;
}
template <class S, int n>
Dual<S, n> operator*(double a, const Dual<S, n>& b) {
  Dual<S, n> product{a * b.value, {}};
  for (int i = 0; i < n; ++i) product.partial[i] = a * b.partial[i];
  return product;
}
template <class S, int n>
Dual<S, n> operator+(const Dual<S, n>& a, double b) {
  Dual<S, n> sum = a;
  sum.value = a.value + b;
  return sum;
}
template <class S, int n>
Dual<S, n> operator-(const Dual<S, n>& a, double b) {
  return a + (-b);
}

using Doubles = Vector<double>;

inline Doubles square_root(Doubles x) {
  for (int lane = 0; lane < lanes<double>; ++lane) x[lane] = std::sqrt(x[lane]);
  return x;
}
inline Doubles inverse(Doubles x) { return 1.0 / x; }
// 1 where x is below 1, else 0; constant almost everywhere.
inline Doubles below_one(Doubles x) {
  Doubles result;
  for (int lane = 0; lane < lanes<double>; ++lane) result[lane] = x[lane] < 1.0 ? 1.0 : 0.0;
  return result;
}
template <class S, int n>
Dual<S, n> inverse(const Dual<S, n>& x) {
  const S f = inverse(x.value);
  return x.chain(f, -1.0 * (f * f));
}
template <class S, int n>
Dual<S, n> square_root(const Dual<S, n>& x) {
  const S f = square_root(x.value);
  return x.chain(f, 0.5 * inverse(f));
}
template <class S, int n>
Dual<S, n> below_one(const Dual<S, n>& x) {
  return x.chain(below_one(x.value), 0.0 * x.value);
}

// sin(pi x) and cos(pi x) for x from 0 to 1, by Taylor's series about 1/2.
constexpr double pi = 3.14159265358979323846;
inline Doubles taylor(Doubles square, const double* coefficients, int count) {
  Doubles sum = coefficients[count - 1] + 0.0 * square;
  for (int k = count - 2; k >= 0; --k) sum = sum * square + coefficients[k];
  return sum;
}
constexpr int taylor_terms = 12;
struct TaylorCoefficients {
  double of_cos[taylor_terms], of_sin[taylor_terms];
  constexpr TaylorCoefficients() : of_cos(), of_sin() {
    double term = 1.0;
    for (int k = 0; k < 2 * taylor_terms; ++k) {
      const double sign = (k / 2) % 2 == 0 ? 1.0 : -1.0;
      (k % 2 == 0 ? of_cos : of_sin)[k / 2] = sign * term;
      term /= k + 1;
    }
  }
};
inline constexpr TaylorCoefficients series;

inline Doubles sin_pi(Doubles x) {
  const Doubles t = pi * (x - 0.5);
  return taylor(t * t, series.of_cos, taylor_terms);
}
inline Doubles cos_pi(Doubles x) {
  const Doubles t = pi * (x - 0.5);
  return -t * taylor(t * t, series.of_sin, taylor_terms);
}
template <class S, int n>
Dual<S, n> sin_pi(const Dual<S, n>& x) {
  return x.chain(sin_pi(x.value), pi * cos_pi(x.value));
}
template <class S, int n>
Dual<S, n> cos_pi(const Dual<S, n>& x) {
  return x.chain(cos_pi(x.value), -pi * sin_pi(x.value));
}

}  // namespace vitreous
