// The operators of products with the matrix of a pair of species, their first and their second derivative.
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "autograd.h"
#include "paired_kernel.h"
#include "registry.h"

namespace vitreous {
namespace {

using Optional = c10::optional<Tensor>;

// Columns filled up by zeros.
Tensor padded(const Tensor& t, int64_t padding) {
  const auto missing = (padding - t.size(-1) % padding) % padding;
  return missing == 0 ? t.contiguous() : at::constant_pad_nd(t, {0, missing});
}

template <class T>
const PairedKernel<T>& kernel_for(const std::string& name, const Tensor& x, const Tensor& m, const Tensor& pair) {
  const auto& kernel = find_kernel<PairedKernel, T>(name);
  require("features", x, {x.size(0), m.size(1)}, m.scalar_type());
  require("matrices", m, {m.size(0), m.size(1), m.size(2)}, x.scalar_type());
  require("pairs", pair, {x.size(0)}, at::kLong);
  return kernel;
}

// Blocks of rows, the same for any number of threads, and so is the order of sums over them.
template <class Run>
void over_blocks(int64_t rows, int64_t blocks, Run run) {
  const int64_t size = std::max<int64_t>(64, (rows + blocks - 1) / blocks);
  at::parallel_for(0, (rows + size - 1) / size, 1, [&](int64_t first, int64_t last) {
    for (int64_t b = first; b < last; ++b) run(b, b * size, std::min(rows, (b + 1) * size));
  });
}
constexpr int64_t row_blocks = 32;

// A sum of matrices for each block, unless they are so many that few blocks must do.
int64_t blocks_of(const Tensor& m) {
  constexpr int64_t numbers = 1 << 22;
  return std::clamp<int64_t>(numbers / std::max<int64_t>(1, m.numel()), 1, row_blocks);
}

// x M, and h N where there are such.
Tensor multiply(const Tensor& x_, const Tensor& m_, const Optional& h_, const Optional& n_, const Tensor& pair_,
                const std::string& name) {
  const auto x = x_.contiguous(), pair = pair_.contiguous();
  Tensor y;
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "paired", [&] {
    const auto& kernel = kernel_for<scalar_t>(name, x, m_, pair);
    const auto m = padded(m_, kernel.padding), n = n_ ? padded(*n_, kernel.padding) : Tensor();
    const auto h = h_ ? h_->contiguous() : Tensor();
    y = at::empty({x.size(0), m.size(2)}, x.options());
    const PairedSizes sizes{m.size(1), m.size(2), pair.const_data_ptr<int64_t>()};
    auto* y_p = y.data_ptr<scalar_t>();
    over_blocks(x.size(0), row_blocks, [&](int64_t, int64_t begin, int64_t end) {
      kernel.forward(begin, end, sizes, x.const_data_ptr<scalar_t>(), m.const_data_ptr<scalar_t>(), false, y_p);
      if (h_) kernel.forward(begin, end, sizes, h.const_data_ptr<scalar_t>(), n.const_data_ptr<scalar_t>(), true, y_p);
    });
  });
  return y.narrow(1, 0, m_.size(2)).contiguous();
}

// g M^T, and the sum of x^T g of each pair where `by_m`.
std::tuple<Tensor, Tensor> multiply_back(const Tensor& g_, const Tensor& x_, const Tensor& m_, const Tensor& pair_,
                                         const std::string& name, bool by_m) {
  const auto x = x_.contiguous(), pair = pair_.contiguous();
  auto gx = at::empty_like(x);
  Tensor gm;
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "paired_backward", [&] {
    const auto& kernel = kernel_for<scalar_t>(name, x, m_, pair);
    require("gradients", g_, {x.size(0), m_.size(2)}, x.scalar_type());
    const auto m = padded(m_, kernel.padding), g = padded(g_, kernel.padding);
    const int64_t blocks = by_m ? blocks_of(m) : row_blocks;
    const auto sums = at::zeros({by_m ? blocks : 0, m.size(0), m.size(1), m.size(2)}, x.options());
    const PairedSizes sizes{m.size(1), m.size(2), pair.const_data_ptr<int64_t>()};
    auto *gx_p = gx.data_ptr<scalar_t>(), *gm_p = sums.data_ptr<scalar_t>();
    over_blocks(x.size(0), blocks, [&](int64_t b, int64_t begin, int64_t end) {
      kernel.backward(begin, end, sizes, x.const_data_ptr<scalar_t>(), m.const_data_ptr<scalar_t>(),
                      g.const_data_ptr<scalar_t>(), gx_p, by_m ? gm_p + b * m.numel() : nullptr);
    });
    gm = by_m ? sums.sum(0).narrow(2, 0, m_.size(2)).contiguous() : at::empty({0}, x.options());
  });
  return {gx, gm};
}

Tensor paired_cpu(const Tensor& x, const Tensor& m, const Tensor& pair, const std::string& name) {
  return multiply(x, m, {}, {}, pair, name);
}

std::tuple<Tensor, Tensor> paired_backward_cpu(const Tensor& g, const Tensor& x, const Tensor& m, const Tensor& pair,
                                               const std::string& name, bool by_m) {
  return multiply_back(g, x, m, pair, name, by_m);
}

// Gradients of <hx, gx> + <hm, gm> by g, x and M: the product is linear in x and in M.
std::tuple<Tensor, Tensor, Tensor> paired_second_cpu(const Tensor& hx, const Optional& hm, const Tensor& g,
                                                     const Tensor& x, const Tensor& m, const Tensor& pair,
                                                     const std::string& name) {
  const auto dg = multiply(hx, m, hm ? Optional(x) : Optional(), hm, pair, name);
  const auto dm = std::get<1>(multiply_back(g, hx, m, pair, name, true));
  const auto dx = hm ? std::get<0>(multiply_back(g, x, *hm, pair, name, false)) : at::zeros_like(x);
  return {dg, dx, dm};
}

// ---- Derivatives

struct PairedBackward : torch::autograd::Function<PairedBackward> {
  static variable_list forward(AutogradContext* context, const Tensor& g, const Tensor& x, const Tensor& m,
                               const Tensor& pair, const std::string& name, bool by_m) {
    at::AutoDispatchBelowADInplaceOrView below;
    context->save_for_backward({g, x, m, pair});
    context->saved_data["name"] = name;
    context->saved_data["by_m"] = by_m;
    static const auto op = find_operator<decltype(paired_backward_cpu)>("vitreous::paired_backward");
    auto [gx, gm] = op.call(g, x, m, pair, name, by_m);
    return {gx, gm};
  }

  static variable_list backward(AutogradContext* context, variable_list h) {
    const auto saved = context->get_saved_variables();
    const auto hm = context->saved_data["by_m"].toBool() ? Optional(h[1]) : Optional();
    auto d = last_derivative({saved[0], saved[1], saved[2], h[0], h[1]}, [&]() -> variable_list {
      static const auto op = find_operator<decltype(paired_second_cpu)>("vitreous::paired_second");
      auto [dg, dx, dm] =
          op.call(h[0], hm, saved[0], saved[1], saved[2], saved[3], context->saved_data["name"].toStringRef());
      return {dg, dx, dm};
    });
    d.resize(6);
    return d;
  }
};

struct Paired : torch::autograd::Function<Paired> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& m, const Tensor& pair,
                        const std::string& name) {
    at::AutoDispatchBelowADInplaceOrView below;
    context->save_for_backward({x, m, pair});
    context->saved_data["name"] = name;
    static const auto op = find_operator<decltype(paired_cpu)>("vitreous::paired");
    return op.call(x, m, pair, name);
  }

  static variable_list backward(AutogradContext* context, variable_list g) {
    const auto saved = context->get_saved_variables();
    const bool by_m = context->needs_input_grad(1);
    static const auto op = find_operator<decltype(paired_backward_cpu)>("vitreous::paired_backward");
    auto [gx, gm] =
        op.call(g[0], saved[0], saved[1], saved[2], context->saved_data["name"].toStringRef(), by_m);
    return {gx, by_m ? gm : Tensor(), Tensor(), Tensor()};
  }
};

Tensor paired_autograd(const Tensor& x, const Tensor& m, const Tensor& pair, const std::string& name) {
  return Paired::apply(x, m, pair, name);
}

std::tuple<Tensor, Tensor> paired_backward_autograd(const Tensor& g, const Tensor& x, const Tensor& m,
                                                    const Tensor& pair, const std::string& name, bool by_m) {
  auto r = PairedBackward::apply(g, x, m, pair, name, by_m);
  return {r[0], r[1]};
}

TORCH_LIBRARY_FRAGMENT(vitreous, library) {
  library.def("paired(Tensor x, Tensor matrices, Tensor pair, str kernel) -> Tensor");
  library.def(
      "paired_backward(Tensor g, Tensor x, Tensor matrices, Tensor pair, str kernel, bool by_matrices) "
      "-> (Tensor, Tensor)");
  library.def(
      "paired_second(Tensor hx, Tensor? hm, Tensor g, Tensor x, Tensor matrices, Tensor pair, str kernel) "
      "-> (Tensor, Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(vitreous, CPU, library) {
  library.impl("paired", &paired_cpu);
  library.impl("paired_backward", &paired_backward_cpu);
  library.impl("paired_second", &paired_second_cpu);
}

TORCH_LIBRARY_IMPL(vitreous, Autograd, library) {
  library.impl("paired", &paired_autograd);
  library.impl("paired_backward", &paired_backward_autograd);
}

}  // namespace
}  // namespace vitreous
