// Loops over edges, as many at a time as a vector holds, around a formula of one edge's vector.
//
// A `Formula` has its `width` and `template <class S> static void evaluate(const S* vec, const S& scale, S* f)`.
#pragma once

#include "dual.h"
#include "edge_function_kernel.h"

namespace vitreous {

template <class Formula, class T>
struct EdgeFunctionLoops {
  using Gradient = Dual<Doubles, 3>;
  using Change = Dual<Doubles, 1>;
  using Second = Dual<Change, 3>;
  static constexpr int width = Formula::width;

  static void values(const EdgeRows& rows, T* f) {
    over(rows, [&](const Group& group) {
      Doubles of_vec[3], result[width];
      for (int i = 0; i < 3; ++i) of_vec[i] = group.component(rows.vec, i);
      Formula::evaluate(of_vec, group.scale(), result);
      for (int c = 0; c < width; ++c) group.store(f, c, result[c]);
    });
  }

  static void gradient(const EdgeRows& rows, const T* g, double* gvec) {
    over(rows, [&](const Group& group) {
      Gradient of_vec[3], result[width];
      for (int i = 0; i < 3; ++i) {
        of_vec[i] = {group.component(rows.vec, i), {}};
        of_vec[i].partial[i] = of_vec[i].partial[i] + 1.0;
      }
      Formula::evaluate(of_vec, Gradient{group.scale(), {}}, result);
      Doubles sums[3] = {};
      for (int c = 0; c < width; ++c) {
        const Doubles weight = group.load(g, c);
        for (int i = 0; i < 3; ++i) sums[i] += weight * result[c].partial[i];
      }
      for (int i = 0; i < 3; ++i) group.store_component(gvec, i, sums[i]);
    });
  }

  static void change(const EdgeRows& rows, const double* h, T* df) {
    over(rows, [&](const Group& group) {
      Change of_vec[3], result[width];
      for (int i = 0; i < 3; ++i) of_vec[i] = {group.component(rows.vec, i), {group.component(h, i)}};
      Formula::evaluate(of_vec, Change{group.scale(), {}}, result);
      for (int c = 0; c < width; ++c) group.store(df, c, result[c].partial[0]);
    });
  }

  static void second(const EdgeRows& rows, const double* h, const T* g, double* dvec) {
    over(rows, [&](const Group& group) {
      Second of_vec[3], result[width];
      for (int i = 0; i < 3; ++i) {
        of_vec[i] = {{group.component(rows.vec, i), {group.component(h, i)}}, {}};
        of_vec[i].partial[i].value = of_vec[i].partial[i].value + 1.0;
      }
      Formula::evaluate(of_vec, Second{{group.scale(), {}}, {}}, result);
      Doubles sums[3] = {};
      for (int c = 0; c < width; ++c) {
        const Doubles weight = group.load(g, c);
        for (int i = 0; i < 3; ++i) sums[i] += weight * result[c].partial[i].partial[0];
      }
      for (int i = 0; i < 3; ++i) group.store_component(dvec, i, sums[i]);
    });
  }

  static constexpr EdgeFunctionKernel<T> kernel = {sizeof(T), width, values, gradient, change, second};

 private:
  // Rows `first`, `first` + 1, ... side by side; lanes beyond the last repeat it.
  struct Group {
    const EdgeRows& rows;
    std::int64_t first;
    int count;

    std::int64_t row(int lane) const { return first + (lane < count ? lane : count - 1); }
    std::int64_t edge(int lane) const { return rows.edge ? rows.edge[row(lane)] : row(lane); }
    Doubles component(const double* vectors, int i) const {
      Doubles v;
      for (int lane = 0; lane < lanes<double>; ++lane) v[lane] = vectors[3 * edge(lane) + i];
      return v;
    }
    void store_component(double* vectors, int i, Doubles v) const {
      for (int lane = 0; lane < count; ++lane) vectors[3 * edge(lane) + i] = v[lane];
    }
    Doubles scale() const {
      Doubles v;
      for (int lane = 0; lane < lanes<double>; ++lane) v[lane] = rows.scale[rows.scales == 1 ? 0 : row(lane)];
      return v;
    }
    Doubles load(const T* numbers, int c) const {
      Doubles v;
      for (int lane = 0; lane < lanes<double>; ++lane) v[lane] = numbers[row(lane) * width + c];
      return v;
    }
    void store(T* numbers, int c, Doubles v) const {
      for (int lane = 0; lane < count; ++lane) numbers[(first + lane) * width + c] = T(v[lane]);
    }
  };

  template <class Body>
  static void over(const EdgeRows& rows, Body body) {
    for (std::int64_t at = rows.begin; at < rows.end; at += lanes<double>) {
      const std::int64_t left = rows.end - at;
      body(Group{rows, at, left < lanes<double> ? int(left) : lanes<double>});
    }
  }
};

}  // namespace vitreous
