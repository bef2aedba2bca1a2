// The operators of an interaction with tabulated weights and of its derivative; there is no second one.
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include "autograd.h"
#include "registry.h"
#include "tabulated_kernel.h"
#include "thread_rows.h"

namespace vitreous {
namespace {

// Edges as `index_edges` gives them, their relative lengths (E, 1), and the table (pieces + 1, 4 weights).
struct EdgeTensors {
  Tensor length, table, start, neighbor;

  EdgeTensors contiguous() const {
    return {length.contiguous(), table.contiguous(), start.contiguous(), neighbor.contiguous()};
  }
  int64_t count() const { return neighbor.numel(); }
  template <class T>
  TabulatedEdges<T> pointers() const {
    return {start.const_data_ptr<int64_t>(), neighbor.const_data_ptr<int64_t>(), length.const_data_ptr<double>(),
            table.const_data_ptr<T>(), table.size(0) - 1};
  }
};

// The kernel of that name, once the tensors are such that it may take their pointers.
template <class T>
const TabulatedKernel<T>& kernel_for(const std::string& name, const Tensor& x, const Tensor& y,
                                     const EdgeTensors& edges) {
  const auto& kernel = find_kernel<TabulatedKernel, T>(name);
  const auto type = c10::CppTypeToScalarType<T>::value;
  require("features", x, {x.size(0), kernel.features}, type);
  require("harmonics", y, {edges.count(), kernel.harmonics}, type);
  require("relative lengths", edges.length, {edges.count(), 1}, at::kDouble);
  require("a table", edges.table, {edges.table.size(0), 4 * kernel.weights}, type);
  require("starts", edges.start, {x.size(0) + 1}, at::kLong);
  require("neighbors", edges.neighbor, {edges.count()}, at::kLong);
  return kernel;
}

Tensor tabulated_cpu(const Tensor& x_, const Tensor& y_, const Tensor& length, const Tensor& table,
                     const Tensor& start, const Tensor& neighbor, const std::string& name) {
  const auto x = x_.contiguous(), y = y_.contiguous();
  const auto edges = EdgeTensors{length, table, start, neighbor}.contiguous();
  Tensor out;
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "tabulated_interaction", [&] {
    const auto& kernel = kernel_for<scalar_t>(name, x, y, edges);
    out = at::empty({x.size(0), kernel.result}, x.options());
    const auto pointers = edges.pointers<scalar_t>();
    auto* out_p = out.data_ptr<scalar_t>();
    over_centres(x.size(0), [&](int64_t begin, int64_t end) {
      kernel.forward(begin, end, pointers, x.const_data_ptr<scalar_t>(), y.const_data_ptr<scalar_t>(), out_p);
    });
  });
  return out;
}

std::tuple<Tensor, Tensor, Tensor> tabulated_backward_cpu(const Tensor& g_, const Tensor& x_, const Tensor& y_,
                                                          const Tensor& length, const Tensor& table,
                                                          const Tensor& start, const Tensor& neighbor,
                                                          const std::string& name) {
  const auto g = g_.contiguous(), x = x_.contiguous(), y = y_.contiguous();
  const auto edges = EdgeTensors{length, table, start, neighbor}.contiguous();
  ThreadRows gx(x);
  auto gy = at::empty_like(y), glength = at::empty_like(edges.length);
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "tabulated_interaction_backward", [&] {
    const auto& kernel = kernel_for<scalar_t>(name, x, y, edges);
    require("gradients", g, {x.size(0), kernel.result}, x.scalar_type());
    const auto pointers = edges.pointers<scalar_t>();
    auto* gy_p = gy.data_ptr<scalar_t>();
    auto* glength_p = glength.data_ptr<double>();
    over_centres(x.size(0), [&](int64_t begin, int64_t end) {
      kernel.backward(begin, end, pointers, x.const_data_ptr<scalar_t>(), y.const_data_ptr<scalar_t>(),
                      g.const_data_ptr<scalar_t>(), gx.mine<scalar_t>(), gy_p, glength_p);
    });
  });
  return {gx.sum(), gy, glength};
}

struct TabulatedBackward : torch::autograd::Function<TabulatedBackward> {
  static variable_list forward(AutogradContext*, const Tensor& g, const Tensor& x, const Tensor& y,
                               const Tensor& length, const Tensor& table, const Tensor& start, const Tensor& neighbor,
                               const std::string& name) {
    at::AutoDispatchBelowADInplaceOrView below;
    static const auto op =
        find_operator<decltype(tabulated_backward_cpu)>("vitreous::tabulated_interaction_backward");
    auto [gx, gy, glength] = op.call(g, x, y, length, table, start, neighbor, name);
    return {gx, gy, glength};
  }

  static variable_list backward(AutogradContext*, variable_list) {
    TORCH_CHECK(false, "found a second derivative of tabulated radial functions; expected one at most; use radial=exact");
  }
};

struct Tabulated : torch::autograd::Function<Tabulated> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& y, const Tensor& length,
                        const Tensor& table, const Tensor& start, const Tensor& neighbor, const std::string& name) {
    at::AutoDispatchBelowADInplaceOrView below;
    context->save_for_backward({x, y, length, table, start, neighbor});
    context->saved_data["name"] = name;
    static const auto op = find_operator<decltype(tabulated_cpu)>("vitreous::tabulated_interaction");
    return op.call(x, y, length, table, start, neighbor, name);
  }

  static variable_list backward(AutogradContext* context, variable_list g) {
    const auto saved = context->get_saved_variables();
    static const auto op =
        find_operator<decltype(tabulated_backward_cpu)>("vitreous::tabulated_interaction_backward");
    auto [gx, gy, glength] = op.call(g[0], saved[0], saved[1], saved[2], saved[3], saved[4], saved[5],
                                     context->saved_data["name"].toStringRef());
    return {gx, gy, glength, Tensor(), Tensor(), Tensor(), Tensor()};
  }
};

Tensor tabulated_autograd(const Tensor& x, const Tensor& y, const Tensor& length, const Tensor& table,
                          const Tensor& start, const Tensor& neighbor, const std::string& name) {
  return Tabulated::apply(x, y, length, table, start, neighbor, name);
}

std::tuple<Tensor, Tensor, Tensor> tabulated_backward_autograd(const Tensor& g, const Tensor& x, const Tensor& y,
                                                               const Tensor& length, const Tensor& table,
                                                               const Tensor& start, const Tensor& neighbor,
                                                               const std::string& name) {
  auto r = TabulatedBackward::apply(g, x, y, length, table, start, neighbor, name);
  return {r[0], r[1], r[2]};
}

TORCH_LIBRARY_FRAGMENT(vitreous, library) {
  library.def(
      "tabulated_interaction(Tensor x, Tensor y, Tensor length, Tensor table, Tensor start, Tensor neighbor, "
      "str kernel) -> Tensor");
  library.def(
      "tabulated_interaction_backward(Tensor g, Tensor x, Tensor y, Tensor length, Tensor table, Tensor start, "
      "Tensor neighbor, str kernel) -> (Tensor, Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(vitreous, CPU, library) {
  library.impl("tabulated_interaction", &tabulated_cpu);
  library.impl("tabulated_interaction_backward", &tabulated_backward_cpu);
}

TORCH_LIBRARY_IMPL(vitreous, Autograd, library) {
  library.impl("tabulated_interaction", &tabulated_autograd);
  library.impl("tabulated_interaction_backward", &tabulated_backward_autograd);
}

}  // namespace
}  // namespace vitreous
