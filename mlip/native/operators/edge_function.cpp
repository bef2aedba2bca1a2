// The operators of a function of edge vectors, its first and its second derivative.
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>

#include "autograd.h"
#include "edge_function_kernel.h"
#include "registry.h"

namespace vitreous {
namespace {

constexpr int64_t edge_grain = 512;  // edges per thread at least: a function takes tens of nanoseconds

using Optional = c10::optional<Tensor>;

// Rows of (E, 3) vectors, of which `edge` picks some, each once; none given means all.
struct Rows {
  Tensor vec;
  Optional edge;
  Tensor scale;

  Rows(const Tensor& vec_, const Optional& edge_, const Tensor& scale_)
      : vec(vec_.contiguous()), edge(edge_ ? Optional(edge_->contiguous()) : edge_), scale(scale_.contiguous()) {
    require("edge vectors", vec, {vec.size(0), 3}, at::kDouble);
    if (edge) require("edges of the rows", *edge, {edge->numel()}, at::kLong);
    require("scales", scale, {scale.numel() == 1 ? 1 : count()}, at::kDouble);
  }

  int64_t count() const { return edge ? edge->numel() : vec.size(0); }

  template <class Run>
  void over(Run run) const {
    const auto* picked = edge ? edge->const_data_ptr<int64_t>() : nullptr;
    at::parallel_for(0, count(), edge_grain, [&](int64_t begin, int64_t end) {
      run(EdgeRows{begin, end, vec.const_data_ptr<double>(), picked, scale.const_data_ptr<double>(), scale.numel()});
    });
  }
};

Tensor edge_function_cpu(const Tensor& vec, const Optional& edge, const Tensor& scale, const std::string& name,
                         at::ScalarType dtype) {
  const Rows rows(vec, edge, scale);
  Tensor out;
  AT_DISPATCH_FLOATING_TYPES(dtype, "edge_function", [&] {
    const auto& kernel = find_kernel<EdgeFunctionKernel, scalar_t>(name);
    out = at::empty({rows.count(), kernel.width}, vec.options().dtype(dtype));
    auto* out_p = out.data_ptr<scalar_t>();
    rows.over([&](const EdgeRows& range) { kernel.values(range, out_p); });
  });
  return out;
}

Tensor edge_function_backward_cpu(const Tensor& g_, const Tensor& vec, const Optional& edge, const Tensor& scale,
                                  const std::string& name) {
  const auto g = g_.contiguous();
  const Rows rows(vec, edge, scale);
  auto out = edge ? at::zeros_like(rows.vec) : at::empty_like(rows.vec);
  AT_DISPATCH_FLOATING_TYPES(g.scalar_type(), "edge_function_backward", [&] {
    const auto& kernel = find_kernel<EdgeFunctionKernel, scalar_t>(name);
    require("gradients", g, {rows.count(), kernel.width}, g.scalar_type());
    auto* out_p = out.data_ptr<double>();
    rows.over([&](const EdgeRows& range) { kernel.gradient(range, g.const_data_ptr<scalar_t>(), out_p); });
  });
  return out;
}

// Derivatives of <h, edge_function_backward(g)> by g and, where `by_vec`, by the vectors.
std::tuple<Tensor, Tensor> edge_function_second_cpu(const Tensor& h_, const Tensor& g_, const Tensor& vec,
                                                    const Optional& edge, const Tensor& scale,
                                                    const std::string& name, bool by_vec) {
  const auto h = h_.contiguous(), g = g_.contiguous();
  const Rows rows(vec, edge, scale);
  require("changes of the vectors", h, vec.sizes(), at::kDouble);
  auto dg = at::empty_like(g), dvec = by_vec ? at::zeros_like(rows.vec) : at::empty({0}, vec.options());
  AT_DISPATCH_FLOATING_TYPES(g.scalar_type(), "edge_function_second", [&] {
    const auto& kernel = find_kernel<EdgeFunctionKernel, scalar_t>(name);
    require("gradients", g, {rows.count(), kernel.width}, g.scalar_type());
    auto* dg_p = dg.data_ptr<scalar_t>();
    auto* dvec_p = dvec.data_ptr<double>();
    rows.over([&](const EdgeRows& range) {
      kernel.change(range, h.const_data_ptr<double>(), dg_p);
      if (by_vec) kernel.second(range, h.const_data_ptr<double>(), g.const_data_ptr<scalar_t>(), dvec_p);
    });
  });
  return {dg, dvec};
}

struct EdgeFunctionBackward : torch::autograd::Function<EdgeFunctionBackward> {
  static Tensor forward(AutogradContext* context, const Tensor& g, const Tensor& vec, const Optional& edge,
                        const Tensor& scale, const std::string& name) {
    at::AutoDispatchBelowADInplaceOrView below;
    context->save_for_backward({g, vec, edge.value_or(Tensor()), scale});
    context->saved_data["name"] = name;
    static const auto op = find_operator<decltype(edge_function_backward_cpu)>("vitreous::edge_function_backward");
    return op.call(g, vec, edge, scale, name);
  }

  static variable_list backward(AutogradContext* context, variable_list h) {
    const auto saved = context->get_saved_variables();
    const auto edge = saved[2].defined() ? Optional(saved[2]) : Optional();
    const bool by_vec = context->needs_input_grad(1);
    static const auto op = find_operator<decltype(edge_function_second_cpu)>("vitreous::edge_function_second");
    const auto d = last_derivative({h[0], saved[0], saved[1]}, [&]() -> variable_list {
      auto [dg, dvec] =
          op.call(h[0], saved[0], saved[1], edge, saved[3], context->saved_data["name"].toStringRef(), by_vec);
      return {dg, dvec};
    });
    return {d[0], by_vec ? d[1] : Tensor(), Tensor(), Tensor(), Tensor()};
  }
};

struct EdgeFunction : torch::autograd::Function<EdgeFunction> {
  static Tensor forward(AutogradContext* context, const Tensor& vec, const Optional& edge, const Tensor& scale,
                        const std::string& name, at::ScalarType dtype) {
    at::AutoDispatchBelowADInplaceOrView below;
    context->save_for_backward({vec, edge.value_or(Tensor()), scale});
    context->saved_data["name"] = name;
    static const auto op = find_operator<decltype(edge_function_cpu)>("vitreous::edge_function");
    return op.call(vec, edge, scale, name, dtype);
  }

  static variable_list backward(AutogradContext* context, variable_list g) {
    const auto saved = context->get_saved_variables();
    const auto edge = saved[1].defined() ? Optional(saved[1]) : Optional();
    static const auto op = find_operator<decltype(edge_function_backward_cpu)>("vitreous::edge_function_backward");
    auto gvec = op.call(g[0], saved[0], edge, saved[2], context->saved_data["name"].toStringRef());
    return {gvec, Tensor(), Tensor(), Tensor(), Tensor()};
  }
};

Tensor edge_function_autograd(const Tensor& vec, const Optional& edge, const Tensor& scale, const std::string& name,
                              at::ScalarType dtype) {
  return EdgeFunction::apply(vec, edge, scale, name, dtype);
}

Tensor edge_function_backward_autograd(const Tensor& g, const Tensor& vec, const Optional& edge, const Tensor& scale,
                                       const std::string& name) {
  return EdgeFunctionBackward::apply(g, vec, edge, scale, name);
}

TORCH_LIBRARY_FRAGMENT(vitreous, library) {
  library.def(
      "edge_function(Tensor vec, Tensor? edge, Tensor scale, str kernel, ScalarType dtype) -> Tensor");
  library.def(
      "edge_function_backward(Tensor g, Tensor vec, Tensor? edge, Tensor scale, str kernel) -> Tensor");
  library.def(
      "edge_function_second(Tensor h, Tensor g, Tensor vec, Tensor? edge, Tensor scale, str kernel, bool by_vec) "
      "-> (Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(vitreous, CPU, library) {
  library.impl("edge_function", &edge_function_cpu);
  library.impl("edge_function_backward", &edge_function_backward_cpu);
  library.impl("edge_function_second", &edge_function_second_cpu);
}

TORCH_LIBRARY_IMPL(vitreous, Autograd, library) {
  library.impl("edge_function", &edge_function_autograd);
  library.impl("edge_function_backward", &edge_function_backward_autograd);
}

}  // namespace
}  // namespace vitreous
