// Rows of atoms that several threads add to, and the threads' ranges of centres.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/ops/zeros.h>

#include "autograd.h"

namespace vitreous {

// Rows of neighbours belong to no centre: each thread adds to rows of its own, which are summed afterwards.
class ThreadRows {
 public:
  explicit ThreadRows(const Tensor& like)
      : threads_(at::in_parallel_region() ? 1 : at::get_num_threads()),
        rows_(at::zeros({threads_, like.size(0), like.size(1)}, like.options())) {}

  template <class T>
  T* mine() {
    return rows_.data_ptr<T>() + (threads_ == 1 ? 0 : at::get_thread_num()) * rows_.stride(0);
  }
  Tensor sum() const { return threads_ == 1 ? rows_.squeeze(0) : rows_.sum(0); }

 private:
  int64_t threads_;
  Tensor rows_;
};

constexpr int64_t centre_grain = 4;  // centres per thread at least: an edge takes microseconds

template <class Run>
void over_centres(int64_t num_atoms, Run run) {
  at::parallel_for(0, num_atoms, centre_grain, run);
}

}  // namespace vitreous
