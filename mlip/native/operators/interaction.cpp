// The operators of an interaction, its first and its second derivative.
#include <ATen/Dispatch.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>

#include "autograd.h"
#include "interaction_kernel.h"
#include "registry.h"
#include "thread_rows.h"

namespace vitreous {
namespace {

// As `index_edges` gives them: what their numbers point to is not looked up again.
struct EdgeTensors {
  Tensor start, neighbor, weight_row;

  EdgeTensors contiguous() const { return {start.contiguous(), neighbor.contiguous(), weight_row.contiguous()}; }
  int64_t count() const { return neighbor.numel(); }
  Edges pointers() const {
    return {start.const_data_ptr<int64_t>(), neighbor.const_data_ptr<int64_t>(), weight_row.const_data_ptr<int64_t>()};
  }
};

// The kernel of that name, once the tensors are such that it may take their pointers.
template <class T>
const InteractionKernel<T>& kernel_for(const std::string& name, const Tensor& x, const Tensor& y, const Tensor& w,
                                       const EdgeTensors& edges) {
  const auto& kernel = find_kernel<InteractionKernel, T>(name);
  const auto type = c10::CppTypeToScalarType<T>::value;
  require("features", x, {x.size(0), kernel.features}, type);
  require("harmonics", y, {edges.count(), kernel.harmonics}, type);
  require("weights", w, {w.size(0), kernel.weights}, type);
  require("starts", edges.start, {x.size(0) + 1}, at::kLong);
  require("neighbors", edges.neighbor, {edges.count()}, at::kLong);
  require("rows of weights", edges.weight_row, {edges.count()}, at::kLong);
  return kernel;
}

Tensor interaction_cpu(const Tensor& x_, const Tensor& y_, const Tensor& w_, const Tensor& start, const Tensor& neighbor,
                       const Tensor& weight_row, const std::string& name) {
  const auto x = x_.contiguous(), y = y_.contiguous(), w = w_.contiguous();
  const auto edges = EdgeTensors{start, neighbor, weight_row}.contiguous();
  Tensor out;
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "interaction", [&] {
    const auto& kernel = kernel_for<scalar_t>(name, x, y, w, edges);
    out = at::empty({x.size(0), kernel.result}, x.options());
    const auto pointers = edges.pointers();
    auto* out_p = out.data_ptr<scalar_t>();
    over_centres(x.size(0), [&](int64_t begin, int64_t end) {
      kernel.forward(begin, end, pointers, x.const_data_ptr<scalar_t>(), y.const_data_ptr<scalar_t>(),
                     w.const_data_ptr<scalar_t>(), out_p);
    });
  });
  return out;
}

std::tuple<Tensor, Tensor, Tensor> interaction_backward_cpu(const Tensor& g_, const Tensor& x_, const Tensor& y_,
                                                            const Tensor& w_, const Tensor& start,
                                                            const Tensor& neighbor, const Tensor& weight_row,
                                                            const std::string& name) {
  const auto g = g_.contiguous(), x = x_.contiguous(), y = y_.contiguous(), w = w_.contiguous();
  const auto edges = EdgeTensors{start, neighbor, weight_row}.contiguous();
  ThreadRows gx(x);
  auto gy = at::empty_like(y), gw = at::empty_like(w);
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "interaction_backward", [&] {
    const auto& kernel = kernel_for<scalar_t>(name, x, y, w, edges);
    require("gradients", g, {x.size(0), kernel.result}, x.scalar_type());
    const auto pointers = edges.pointers();
    auto *gy_p = gy.data_ptr<scalar_t>(), *gw_p = gw.data_ptr<scalar_t>();
    for (const auto visit : {Visit::first, Visit::second}) {
      over_centres(x.size(0), [&](int64_t begin, int64_t end) {
        kernel.backward(begin, end, pointers, visit, x.const_data_ptr<scalar_t>(), y.const_data_ptr<scalar_t>(),
                        w.const_data_ptr<scalar_t>(), g.const_data_ptr<scalar_t>(), gx.mine<scalar_t>(), gy_p, gw_p);
      });
    }
  });
  return {gx.sum(), gy, gw};
}

std::tuple<Tensor, Tensor, Tensor, Tensor> interaction_second_cpu(
    const Tensor& hx_, const Tensor& hy_, const Tensor& hw_, const Tensor& g_, const Tensor& x_, const Tensor& y_,
    const Tensor& w_, const Tensor& start, const Tensor& neighbor, const Tensor& weight_row, const std::string& name,
    bool by_harmonics) {
  const auto hx = hx_.contiguous(), hy = hy_.contiguous(), hw = hw_.contiguous();
  const auto g = g_.contiguous(), x = x_.contiguous(), y = y_.contiguous(), w = w_.contiguous();
  const auto edges = EdgeTensors{start, neighbor, weight_row}.contiguous();
  ThreadRows dx(x);
  auto dy = by_harmonics ? at::empty_like(y) : at::empty({0}, y.options());
  auto dw = at::empty_like(w), dg = at::zeros_like(g);
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "interaction_second", [&] {
    const auto& kernel = kernel_for<scalar_t>(name, x, y, w, edges);
    require("gradients", g, {x.size(0), kernel.result}, x.scalar_type());
    require("changes of the features", hx, x.sizes(), x.scalar_type());
    require("changes of the harmonics", hy, y.sizes(), x.scalar_type());
    require("changes of the weights", hw, w.sizes(), x.scalar_type());
    const auto pointers = edges.pointers();
    auto *dy_p = by_harmonics ? dy.data_ptr<scalar_t>() : nullptr;
    auto *dw_p = dw.data_ptr<scalar_t>(), *dg_p = dg.data_ptr<scalar_t>();
    for (const auto visit : {Visit::first, Visit::second}) {
      over_centres(x.size(0), [&](int64_t begin, int64_t end) {
        kernel.second(begin, end, pointers, visit, x.const_data_ptr<scalar_t>(), y.const_data_ptr<scalar_t>(),
                      w.const_data_ptr<scalar_t>(), g.const_data_ptr<scalar_t>(), hx.const_data_ptr<scalar_t>(),
                      hy.const_data_ptr<scalar_t>(), hw.const_data_ptr<scalar_t>(), dx.mine<scalar_t>(), dy_p, dw_p,
                      dg_p);
      });
    }
  });
  return {dx.sum(), dy, dw, dg};
}

// ---- Derivatives

Tensor call_interaction(const Tensor& x, const Tensor& y, const Tensor& w, const EdgeTensors& e,
                        const std::string& name) {
  static const auto op = find_operator<decltype(interaction_cpu)>("vitreous::interaction");
  return op.call(x, y, w, e.start, e.neighbor, e.weight_row, name);
}

std::tuple<Tensor, Tensor, Tensor> call_backward(const Tensor& g, const Tensor& x, const Tensor& y, const Tensor& w,
                                                 const EdgeTensors& e, const std::string& name) {
  static const auto op = find_operator<decltype(interaction_backward_cpu)>("vitreous::interaction_backward");
  return op.call(g, x, y, w, e.start, e.neighbor, e.weight_row, name);
}

std::tuple<Tensor, Tensor, Tensor, Tensor> call_second(const Tensor& hx, const Tensor& hy, const Tensor& hw,
                                                       const Tensor& g, const Tensor& x, const Tensor& y,
                                                       const Tensor& w, const EdgeTensors& e,
                                                       const std::string& name, bool by_harmonics) {
  static const auto op = find_operator<decltype(interaction_second_cpu)>("vitreous::interaction_second");
  return op.call(hx, hy, hw, g, x, y, w, e.start, e.neighbor, e.weight_row, name, by_harmonics);
}

struct InteractionBackward : torch::autograd::Function<InteractionBackward> {
  static variable_list forward(AutogradContext* context, const Tensor& g, const Tensor& x, const Tensor& y,
                               const Tensor& w, const Tensor& start, const Tensor& neighbor, const Tensor& weight_row,
                               const std::string& name) {
    at::AutoDispatchBelowADInplaceOrView below;
    context->save_for_backward({g, x, y, w, start, neighbor, weight_row});
    context->saved_data["name"] = name;
    auto [gx, gy, gw] = call_backward(g, x, y, w, {start, neighbor, weight_row}, name);
    return {gx, gy, gw};
  }

  static variable_list backward(AutogradContext* context, variable_list h) {
    const auto saved = context->get_saved_variables();
    const auto &g = saved[0], &x = saved[1], &y = saved[2], &w = saved[3];
    const EdgeTensors edges{saved[4], saved[5], saved[6]};
    const bool by_harmonics = context->needs_input_grad(2);
    const auto d = last_derivative({g, x, y, w, h[0], h[1], h[2]}, [&]() -> variable_list {
      auto [dx, dy, dw, dg] =
          call_second(h[0], h[1], h[2], g, x, y, w, edges, context->saved_data["name"].toStringRef(), by_harmonics);
      return {dg, dx, dy, dw};
    });
    return {d[0], d[1], by_harmonics ? d[2] : Tensor(), d[3], Tensor(), Tensor(), Tensor(), Tensor()};
  }
};

struct Interaction : torch::autograd::Function<Interaction> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& y, const Tensor& w,
                        const Tensor& start, const Tensor& neighbor, const Tensor& weight_row,
                        const std::string& name) {
    at::AutoDispatchBelowADInplaceOrView below;
    context->save_for_backward({x, y, w, start, neighbor, weight_row});
    context->saved_data["name"] = name;
    return call_interaction(x, y, w, {start, neighbor, weight_row}, name);
  }

  static variable_list backward(AutogradContext* context, variable_list g) {
    const auto saved = context->get_saved_variables();
    auto [gx, gy, gw] = call_backward(g[0], saved[0], saved[1], saved[2], {saved[3], saved[4], saved[5]},
                                      context->saved_data["name"].toStringRef());
    return {gx, gy, gw, Tensor(), Tensor(), Tensor(), Tensor()};
  }
};

Tensor interaction_autograd(const Tensor& x, const Tensor& y, const Tensor& w, const Tensor& start,
                            const Tensor& neighbor, const Tensor& weight_row, const std::string& name) {
  return Interaction::apply(x, y, w, start, neighbor, weight_row, name);
}

std::tuple<Tensor, Tensor, Tensor> interaction_backward_autograd(const Tensor& g, const Tensor& x, const Tensor& y,
                                                                 const Tensor& w, const Tensor& start,
                                                                 const Tensor& neighbor, const Tensor& weight_row,
                                                                 const std::string& name) {
  auto r = InteractionBackward::apply(g, x, y, w, start, neighbor, weight_row, name);
  return {r[0], r[1], r[2]};
}

TORCH_LIBRARY_FRAGMENT(vitreous, library) {
  library.def(
      "interaction(Tensor x, Tensor y, Tensor w, Tensor start, Tensor neighbor, Tensor weight_row, str kernel) "
      "-> Tensor");
  library.def(
      "interaction_backward(Tensor g, Tensor x, Tensor y, Tensor w, Tensor start, Tensor neighbor, "
      "Tensor weight_row, str kernel) -> (Tensor, Tensor, Tensor)");
  library.def(
      "interaction_second(Tensor hx, Tensor hy, Tensor hw, Tensor g, Tensor x, Tensor y, Tensor w, Tensor start, "
      "Tensor neighbor, Tensor weight_row, str kernel, bool by_harmonics) -> (Tensor, Tensor, Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(vitreous, CPU, library) {
  library.impl("interaction", &interaction_cpu);
  library.impl("interaction_backward", &interaction_backward_cpu);
  library.impl("interaction_second", &interaction_second_cpu);
}

TORCH_LIBRARY_IMPL(vitreous, Autograd, library) {
  library.impl("interaction", &interaction_autograd);
  library.impl("interaction_backward", &interaction_backward_autograd);
}

}  // namespace
}  // namespace vitreous
