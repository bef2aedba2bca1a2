// The operators of a product with environments, its first and its second derivative.
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include "autograd.h"
#include "environment_kernel.h"
#include "registry.h"

namespace vitreous {
namespace {

// Rows of numbers next to each other, whatever lies between the rows.
Tensor with_rows(const Tensor& t) { return t.dim() == 2 && t.stride(1) == 1 ? t : t.contiguous(); }

struct InputTensors {
  Tensor x, w, y, paths, scale, start;

  InputTensors(const Tensor& x, const Tensor& w, const Tensor& y, const Tensor& paths, const Tensor& scale,
               const Tensor& start)
      : x(with_rows(x)),
        w(with_rows(w)),
        y(y.contiguous()),
        paths(paths.contiguous()),
        scale(scale.contiguous()),
        start(start.contiguous()) {}

  int64_t num_edges() const { return x.size(0); }
  int64_t num_atoms() const { return start.size(0) - 1; }

  template <class T>
  EnvironmentInputs<T> pointers() const {
    return {start.const_data_ptr<int64_t>(), x.const_data_ptr<T>(),     w.const_data_ptr<T>(), y.const_data_ptr<T>(),
            paths.const_data_ptr<T>(),       scale.const_data_ptr<T>(), x.stride(0),           w.stride(0)};
  }
};

// The kernel of that name, once the tensors are such that it may take their pointers.
template <class T>
const EnvironmentKernel<T>& kernel_for(const std::string& name, const InputTensors& in) {
  const auto& kernel = find_kernel<EnvironmentKernel, T>(name);
  const auto type = c10::CppTypeToScalarType<T>::value;
  require("features", in.x, {in.num_edges(), kernel.features}, type);
  require("weights", in.w, {in.num_edges(), kernel.weights}, type);
  require("harmonics", in.y, {in.num_edges(), kernel.harmonics}, type);
  require("weights of paths", in.paths, {kernel.paths, kernel.channels}, type);
  require("scales", in.scale, {in.num_atoms()}, type);
  require("starts", in.start, {in.num_atoms() + 1}, at::kLong);
  return kernel;
}

// Blocks of centres, the same for any number of threads, and so is the order of sums over them.
struct Blocks {
  int64_t atoms, size, count;

  explicit Blocks(int64_t num_atoms)
      : atoms(num_atoms), size(std::max<int64_t>(8, (num_atoms + 63) / 64)), count((num_atoms + size - 1) / size) {}

  template <class Run>
  void run(Run body) const {
    at::parallel_for(0, count, 1, [&](int64_t first, int64_t last) {
      for (int64_t b = first; b < last; ++b) body(b, b * size, std::min(atoms, (b + 1) * size));
    });
  }
};

// The result, and its scalars once more.
struct ResultTensors {
  Tensor all, scalars;

  template <class T>
  static ResultTensors empty(const EnvironmentKernel<T>& kernel, const Tensor& x) {
    return {at::empty({x.size(0), kernel.result}, x.options()), at::empty({x.size(0), kernel.channels}, x.options())};
  }
  template <class T>
  EnvironmentResult<T> pointers() const {
    return {all.data_ptr<T>(), scalars.data_ptr<T>()};
  }
  template <class T>
  EnvironmentResult<const T> given(const EnvironmentKernel<T>& kernel, const Tensor& x) const {
    require("gradients", all, {x.size(0), kernel.result}, x.scalar_type());
    require("gradients of scalars", scalars, {x.size(0), kernel.channels}, x.scalar_type());
    return {all.const_data_ptr<T>(), scalars.const_data_ptr<T>()};
  }
};

std::tuple<Tensor, Tensor> environment_cpu(const Tensor& x, const Tensor& w, const Tensor& y, const Tensor& paths, const Tensor& scale,
                       const Tensor& start, const std::string& name) {
  const InputTensors in(x, w, y, paths, scale, start);
  ResultTensors out;
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "environment", [&] {
    const auto& kernel = kernel_for<scalar_t>(name, in);
    out = ResultTensors::empty(kernel, in.x);
    const auto pointers = in.pointers<scalar_t>();
    const auto to = out.pointers<scalar_t>();
    Blocks(in.num_atoms()).run([&](int64_t, int64_t begin, int64_t end) { kernel.forward(begin, end, pointers, to); });
  });
  return {out.all, out.scalars};
}

// Where gradients go: rows of edges, and for each block of centres a row of all paths.
struct GradientTensors {
  Tensor x, w, y, paths;
  bool by_paths;

  GradientTensors(const InputTensors& in, const Blocks& blocks, bool by_paths)
      : x(at::empty({in.num_edges(), in.x.size(1)}, in.x.options())),
        w(at::empty({in.num_edges(), in.w.size(1)}, in.x.options())),
        y(at::empty({in.num_edges(), in.y.size(1)}, in.x.options())),
        paths(at::zeros({by_paths ? blocks.count : 0, in.paths.numel()}, in.x.options())),
        by_paths(by_paths) {}

  template <class T>
  EnvironmentGradients<T> pointers(int64_t block) const {
    return {x.data_ptr<T>(), w.data_ptr<T>(), y.data_ptr<T>(),
            by_paths ? paths.data_ptr<T>() + block * paths.size(1) : nullptr};
  }
  Tensor of_paths(const Tensor& like) const { return paths.sum(0).view(like.sizes()); }
};

std::tuple<Tensor, Tensor, Tensor, Tensor> environment_backward_cpu(const Tensor& g, const Tensor& g_scalars,
                                                                    const Tensor& x, const Tensor& w, const Tensor& y,
                                                                    const Tensor& paths, const Tensor& scale,
                                                                    const Tensor& start, const std::string& name,
                                                                    bool by_paths) {
  const InputTensors in(x, w, y, paths, scale, start);
  const ResultTensors gradients{g.contiguous(), g_scalars.contiguous()};
  const Blocks blocks(in.num_atoms());
  const GradientTensors to(in, blocks, by_paths);
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "environment_backward", [&] {
    const auto& kernel = kernel_for<scalar_t>(name, in);
    const auto given = gradients.given<scalar_t>(kernel, in.x);
    const auto pointers = in.pointers<scalar_t>();
    blocks.run([&](int64_t block, int64_t begin, int64_t end) {
      kernel.backward(begin, end, pointers, given, to.pointers<scalar_t>(block));
    });
  });
  return {to.x, to.w, to.y, to.of_paths(paths)};
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> environment_second_cpu(
    const Tensor& hx_, const Tensor& hw_, const Tensor& hy_, const Tensor& hp_, const Tensor& g,
    const Tensor& g_scalars, const Tensor& x, const Tensor& w, const Tensor& y, const Tensor& paths,
    const Tensor& scale, const Tensor& start, const std::string& name) {
  const InputTensors in(x, w, y, paths, scale, start);
  const auto hx = hx_.contiguous(), hw = hw_.contiguous(), hy = hy_.contiguous(), hp = hp_.contiguous();
  const ResultTensors gradients{g.contiguous(), g_scalars.contiguous()};
  const Blocks blocks(in.num_atoms());
  const GradientTensors to(in, blocks, true);
  ResultTensors dg;
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "environment_second", [&] {
    const auto& kernel = kernel_for<scalar_t>(name, in);
    const auto given = gradients.given<scalar_t>(kernel, in.x);
    require("changes of the features", hx, in.x.sizes(), x.scalar_type());
    require("changes of the weights", hw, in.w.sizes(), x.scalar_type());
    require("changes of the harmonics", hy, in.y.sizes(), x.scalar_type());
    require("changes of the paths", hp, in.paths.sizes(), x.scalar_type());
    const auto pointers = in.pointers<scalar_t>();
    const EnvironmentTangents<scalar_t> h{hx.const_data_ptr<scalar_t>(), hw.const_data_ptr<scalar_t>(),
                                          hy.const_data_ptr<scalar_t>(), hp.const_data_ptr<scalar_t>()};
    dg = ResultTensors::empty(kernel, in.x);
    const auto to_g = dg.pointers<scalar_t>();
    blocks.run([&](int64_t block, int64_t begin, int64_t end) {
      kernel.second(begin, end, pointers, given, h, to.pointers<scalar_t>(block), to_g);
    });
  });
  return {to.x, to.w, to.y, to.of_paths(paths), dg.all, dg.scalars};
}

// ---- Derivatives

struct EnvironmentBackward : torch::autograd::Function<EnvironmentBackward> {
  static variable_list forward(AutogradContext* context, const Tensor& g, const Tensor& g_scalars, const Tensor& x,
                               const Tensor& w, const Tensor& y, const Tensor& paths, const Tensor& scale,
                               const Tensor& start, const std::string& name, bool by_paths) {
    at::AutoDispatchBelowADInplaceOrView below;
    context->save_for_backward({g, g_scalars, x, w, y, paths, scale, start});
    context->saved_data["name"] = name;
    static const auto op = find_operator<decltype(environment_backward_cpu)>("vitreous::environment_backward");
    auto [gx, gw, gy, gp] = op.call(g, g_scalars, x, w, y, paths, scale, start, name, by_paths);
    return {gx, gw, gy, gp};
  }

  static variable_list backward(AutogradContext* context, variable_list h) {
    const auto saved = context->get_saved_variables();
    variable_list of(saved.begin(), saved.begin() + 6);
    of.insert(of.end(), h.begin(), h.end());
    auto d = last_derivative(of, [&]() -> variable_list {
      static const auto op = find_operator<decltype(environment_second_cpu)>("vitreous::environment_second");
      auto [dx, dw, dy, dp, dg, dg_scalars] =
          op.call(h[0], h[1], h[2], h[3], saved[0], saved[1], saved[2], saved[3], saved[4], saved[5], saved[6],
                  saved[7], context->saved_data["name"].toStringRef());
      return {dg, dg_scalars, dx, dw, dy, dp};
    });
    d.resize(10);
    return d;
  }
};

struct Environment : torch::autograd::Function<Environment> {
  static variable_list forward(AutogradContext* context, const Tensor& x, const Tensor& w, const Tensor& y,
                               const Tensor& paths, const Tensor& scale, const Tensor& start,
                               const std::string& name) {
    at::AutoDispatchBelowADInplaceOrView below;
    context->save_for_backward({x, w, y, paths, scale, start});
    context->saved_data["name"] = name;
    static const auto op = find_operator<decltype(environment_cpu)>("vitreous::environment");
    auto [all, scalars] = op.call(x, w, y, paths, scale, start, name);
    return {all, scalars};
  }

  static variable_list backward(AutogradContext* context, variable_list g) {
    const auto saved = context->get_saved_variables();
    const bool by_paths = context->needs_input_grad(3);
    static const auto op = find_operator<decltype(environment_backward_cpu)>("vitreous::environment_backward");
    auto [gx, gw, gy, gp] = op.call(g[0], g[1], saved[0], saved[1], saved[2], saved[3], saved[4], saved[5],
                                    context->saved_data["name"].toStringRef(), by_paths);
    return {gx, gw, gy, by_paths ? gp : Tensor(), Tensor(), Tensor(), Tensor()};
  }
};

std::tuple<Tensor, Tensor> environment_autograd(const Tensor& x, const Tensor& w, const Tensor& y,
                                                const Tensor& paths, const Tensor& scale, const Tensor& start,
                                                const std::string& name) {
  auto r = Environment::apply(x, w, y, paths, scale, start, name);
  return {r[0], r[1]};
}

std::tuple<Tensor, Tensor, Tensor, Tensor> environment_backward_autograd(
    const Tensor& g, const Tensor& g_scalars, const Tensor& x, const Tensor& w, const Tensor& y, const Tensor& paths,
    const Tensor& scale, const Tensor& start, const std::string& name, bool by_paths) {
  auto r = EnvironmentBackward::apply(g, g_scalars, x, w, y, paths, scale, start, name, by_paths);
  return {r[0], r[1], r[2], r[3]};
}

TORCH_LIBRARY_FRAGMENT(vitreous, library) {
  library.def(
      "environment(Tensor x, Tensor w, Tensor y, Tensor paths, Tensor scale, Tensor start, str kernel) "
      "-> (Tensor, Tensor)");
  library.def(
      "environment_backward(Tensor g, Tensor g_scalars, Tensor x, Tensor w, Tensor y, Tensor paths, Tensor scale, "
      "Tensor start, str kernel, bool by_paths) -> (Tensor, Tensor, Tensor, Tensor)");
  library.def(
      "environment_second(Tensor hx, Tensor hw, Tensor hy, Tensor hp, Tensor g, Tensor g_scalars, Tensor x, Tensor w, "
      "Tensor y, Tensor paths, Tensor scale, Tensor start, str kernel) "
      "-> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(vitreous, CPU, library) {
  library.impl("environment", &environment_cpu);
  library.impl("environment_backward", &environment_backward_cpu);
  library.impl("environment_second", &environment_second_cpu);
}

TORCH_LIBRARY_IMPL(vitreous, Autograd, library) {
  library.impl("environment", &environment_autograd);
  library.impl("environment_backward", &environment_backward_autograd);
}

}  // namespace
}  // namespace vitreous
