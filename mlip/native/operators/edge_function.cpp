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

// Runs `run` over ranges of rows: (E, 3) vectors, of which `edge` picks some, none given means all.
template <class Run>
void over_rows(const Tensor& vec, const c10::optional<Tensor>& edge, const Tensor& scale, Run run) {
  const int64_t rows = edge ? edge->size(0) : vec.size(0);
  TORCH_CHECK(scale.numel() == 1 || scale.numel() == rows, "found ", scale.numel(), " scales of ", rows, " rows");
  const auto* picked = edge ? edge->const_data_ptr<int64_t>() : nullptr;
  at::parallel_for(0, rows, edge_grain, [&](int64_t begin, int64_t end) {
    run(EdgeRows{begin, end, vec.const_data_ptr<double>(), picked, scale.const_data_ptr<double>(), scale.numel()});
  });
}

Tensor edge_function_cpu(const Tensor& vec_, const c10::optional<Tensor>& edge, const Tensor& scale,
                         const std::string& name, at::ScalarType dtype) {
  const auto vec = vec_.contiguous();
  Tensor out;
  AT_DISPATCH_FLOATING_TYPES(dtype, "edge_function", [&] {
    const auto& kernel = find_kernel<EdgeFunctionKernel<scalar_t>>(name);
    out = at::empty({edge ? edge->size(0) : vec.size(0), kernel.width}, vec.options().dtype(dtype));
    auto* out_p = out.data_ptr<scalar_t>();
    over_rows(vec, edge, scale, [&](const EdgeRows& rows) { kernel.values(rows, out_p); });
  });
  return out;
}

Tensor edge_function_backward_cpu(const Tensor& g_, const Tensor& vec_, const c10::optional<Tensor>& edge,
                                  const Tensor& scale, const std::string& name) {
  const auto g = g_.contiguous(), vec = vec_.contiguous();
  auto out = edge ? at::zeros_like(vec) : at::empty_like(vec);
  AT_DISPATCH_FLOATING_TYPES(g.scalar_type(), "edge_function_backward", [&] {
    const auto& kernel = find_kernel<EdgeFunctionKernel<scalar_t>>(name);
    auto* out_p = out.data_ptr<double>();
    over_rows(vec, edge, scale,
              [&](const EdgeRows& rows) { kernel.gradient(rows, g.const_data_ptr<scalar_t>(), out_p); });
  });
  return out;
}

// Derivatives of <h, edge_function_backward(g)> by g and, where `by_vec`, by the vectors.
std::tuple<Tensor, Tensor> edge_function_second_cpu(const Tensor& h_, const Tensor& g_, const Tensor& vec_,
                                                    const c10::optional<Tensor>& edge, const Tensor& scale,
                                                    const std::string& name, bool by_vec) {
  const auto h = h_.contiguous(), g = g_.contiguous(), vec = vec_.contiguous();
  auto dg = at::empty_like(g), dvec = by_vec ? at::zeros_like(vec) : at::empty({0}, vec.options());
  AT_DISPATCH_FLOATING_TYPES(g.scalar_type(), "edge_function_second", [&] {
    const auto& kernel = find_kernel<EdgeFunctionKernel<scalar_t>>(name);
    auto* dg_p = dg.data_ptr<scalar_t>();
    auto* dvec_p = dvec.data_ptr<double>();
    over_rows(vec, edge, scale, [&](const EdgeRows& rows) {
      kernel.change(rows, h.const_data_ptr<double>(), dg_p);
      if (by_vec) kernel.second(rows, h.const_data_ptr<double>(), g.const_data_ptr<scalar_t>(), dvec_p);
    });
  });
  return {dg, dvec};
}

using Optional = c10::optional<Tensor>;

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
    at::AutoDispatchBelowADInplaceOrView below;  // the third derivative is not there
    static const auto op = find_operator<decltype(edge_function_second_cpu)>("vitreous::edge_function_second");
    auto [dg, dvec] =
        op.call(h[0], saved[0], saved[1], edge, saved[3], context->saved_data["name"].toStringRef(), by_vec);
    return {dg, by_vec ? dvec : Tensor(), Tensor(), Tensor(), Tensor()};
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
