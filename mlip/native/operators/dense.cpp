// The operators of a dense layer, its first and its second derivative.
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "autograd.h"
#include "dense_kernel.h"
#include "registry.h"

namespace vitreous {
namespace {

using Tensors = std::vector<Tensor>;
using Optional = c10::optional<Tensor>;

// Rows of numbers next to each other, whatever lies between the rows.
Tensors with_rows(at::TensorList tensors) {
  Tensors result;
  for (const auto& t : tensors) result.push_back(t.stride(1) == 1 || t.size(1) == 1 ? t : t.contiguous());
  return result;
}

int64_t total_width(at::TensorList tensors) {
  int64_t width = 0;
  for (const auto& t : tensors) width += t.size(1);
  return width;
}

// New rows, like those of other tensors; without numbers where nobody wants them.
Tensors rows_like(at::TensorList tensors) {
  Tensors result;
  for (const auto& t : tensors) result.push_back(at::empty(t.sizes(), t.options()));
  return result;
}

template <class T, class Number>
struct Parts {
  std::vector<DensePart<T>> list;

  explicit Parts(at::TensorList tensors) {
    for (const auto& t : tensors) list.push_back({pointer(t), t.stride(0), t.size(1)});
  }
  operator DenseParts<T>() const { return {list.data(), int(list.size())}; }

 private:
  static T* pointer(const Tensor& t) {
    if constexpr (std::is_const_v<T>) return t.const_data_ptr<Number>();
    else return t.data_ptr<Number>();
  }
};
template <class T>
using Given = Parts<const T, T>;
template <class T>
using Result = Parts<T, T>;

template <class T>
const DenseKernel<T>& kernel_for(const std::string& name, at::TensorList x, const Tensor& w) {
  const auto& kernel = find_kernel<DenseKernel, T>(name);
  TORCH_CHECK(!x.empty(), "found no inputs of a dense layer; expected one at least");
  for (const auto& part : x) require("inputs", part, {x[0].size(0), part.size(1)}, w.scalar_type());
  require("weights", w, {total_width(x), w.size(1)}, w.scalar_type());
  return kernel;
}

void require_outputs(at::TensorList y, at::TensorList x, const Tensor& w) {
  for (const auto& part : y) require("gradients", part, {x[0].size(0), part.size(1)}, w.scalar_type());
  TORCH_CHECK(total_width(y) == w.size(1), "found ", total_width(y), " outputs; expected ", w.size(1));
}

// Blocks of rows, the same for any number of threads, and so is the order of sums over them.
template <class Run>
void over_blocks(int64_t rows, int64_t blocks, Run run) {
  const int64_t tiles = (rows + dense_tile - 1) / dense_tile;
  const int64_t size = std::max<int64_t>(1, (tiles + blocks - 1) / blocks) * dense_tile;
  at::parallel_for(0, (rows + size - 1) / size, 1, [&](int64_t first, int64_t last) {
    for (int64_t b = first; b < last; ++b) run(b, b * size, std::min(rows, (b + 1) * size));
  });
}
constexpr int64_t row_blocks = 32;
// Blocks of which each has a gradient of the weights of its own: fewer where that is more than their rows.
int64_t blocks_of_sums(int64_t rows) { return std::clamp<int64_t>(rows / 1024, 1, row_blocks); }

// A matrix as the kernel reads it.
struct Padded {
  Tensor numbers;

  Padded(const Tensor& matrix, int64_t padding) {
    const auto missing = (padding - matrix.size(1) % padding) % padding;
    numbers = missing == 0 ? matrix.contiguous() : at::constant_pad_nd(matrix, {0, missing});
  }
  template <class T>
  DenseMatrix<T> pointers() const {
    return {numbers.const_data_ptr<T>(), numbers.size(0), numbers.size(1)};
  }
};

// The outputs, as wide as `widths` says; of an activated layer, the values before its activation after them.
Tensors dense_cpu(at::TensorList x_, const Tensor& w_, at::IntArrayRef widths, bool activated,
                  const std::string& name) {
  const auto x = with_rows(x_);
  const auto w = w_.contiguous();
  Tensors y;
  AT_DISPATCH_FLOATING_TYPES(w.scalar_type(), "dense", [&] {
    const auto& kernel = kernel_for<scalar_t>(name, x, w);
    const auto rows = x[0].size(0);
    for (const auto width : widths) y.push_back(at::empty({rows, width}, w.options()));
    require_outputs(y, x, w);
    const auto z = at::empty({activated ? rows : 0, w.size(1)}, w.options());
    const Given<scalar_t> from(x);
    const Result<scalar_t> to(y);
    const Padded padded(w, kernel.padding);
    const DenseLayer<scalar_t> layer{w.size(0), w.size(1), activated, padded.pointers<scalar_t>(), {}, nullptr};
    auto* z_p = z.data_ptr<scalar_t>();
    over_blocks(rows, row_blocks, [&](int64_t, int64_t begin, int64_t end) {
      kernel.forward(begin, end, layer, from, to, z_p);
    });
    if (activated) y.push_back(z);
  });
  return y;
}

// Gradients of the inputs and, where `by_w`, of the weights.
Tensors dense_backward_cpu(at::TensorList g_, at::TensorList x_, const Tensor& w_, const Tensor& z_, bool activated,
                           const std::string& name, bool by_w) {
  const auto g = with_rows(g_), x = with_rows(x_);
  const auto w = w_.contiguous(), z = z_.contiguous();
  auto gx = rows_like(x);
  AT_DISPATCH_FLOATING_TYPES(w.scalar_type(), "dense_backward", [&] {
    const auto& kernel = kernel_for<scalar_t>(name, x, w);
    require_outputs(g, x, w);
    const int64_t blocks = by_w ? blocks_of_sums(x[0].size(0)) : row_blocks;
    const auto gw = at::zeros({by_w ? blocks : 0, w.size(0), w.size(1)}, w.options());
    const Given<scalar_t> from(x), gradients(g);
    const Result<scalar_t> to(gx);
    const Padded transposed(w.t(), kernel.padding);
    const DenseLayer<scalar_t> layer{w.size(0), w.size(1), activated, {}, transposed.pointers<scalar_t>(),
                                     z.const_data_ptr<scalar_t>()};
    auto* gw_p = gw.data_ptr<scalar_t>();
    over_blocks(x[0].size(0), blocks, [&](int64_t b, int64_t begin, int64_t end) {
      kernel.backward(begin, end, layer, from, gradients, to, by_w ? gw_p + b * w.numel() : nullptr);
    });
    gx.push_back(by_w ? gw.sum(0) : gw.view({0}));
  });
  return gx;
}

// Gradients of outputs' gradients, inputs and weights.
Tensors dense_second_cpu(at::TensorList hx_, const Optional& hw_, at::TensorList g_, at::TensorList x_,
                         const Tensor& w_, const Tensor& z_, bool activated, const std::string& name) {
  const auto hx = with_rows(hx_), g = with_rows(g_), x = with_rows(x_);
  const auto w = w_.contiguous(), z = z_.contiguous();
  auto dg = rows_like(g), dx = rows_like(x);
  AT_DISPATCH_FLOATING_TYPES(w.scalar_type(), "dense_second", [&] {
    const auto& kernel = kernel_for<scalar_t>(name, x, w);
    require_outputs(g, x, w);
    if (hw_) require("changes of the weights", *hw_, w.sizes(), w.scalar_type());
    for (size_t p = 0; p < x.size(); ++p) require("changes of inputs", hx[p], x[p].sizes(), w.scalar_type());
    const int64_t blocks = blocks_of_sums(x[0].size(0));
    const auto dw = at::zeros({blocks, w.size(0), w.size(1)}, w.options());
    const Given<scalar_t> from(x), gradients(g), changes(hx);
    const Result<scalar_t> to_g(dg), to_x(dx);
    const Padded padded(w, kernel.padding), transposed(w.t(), kernel.padding);
    const DenseLayer<scalar_t> layer{w.size(0),
                                     w.size(1),
                                     activated,
                                     padded.pointers<scalar_t>(),
                                     transposed.pointers<scalar_t>(),
                                     z.const_data_ptr<scalar_t>()};
    const Padded hw(hw_ ? *hw_ : at::empty({0, 0}, w.options()), kernel.padding);
    const Padded hw_transposed(hw.numbers.narrow(1, 0, hw_ ? w.size(1) : 0).t(), kernel.padding);
    const auto given = hw_ ? hw.pointers<scalar_t>() : DenseMatrix<scalar_t>{};
    auto* dw_p = dw.data_ptr<scalar_t>();
    over_blocks(x[0].size(0), blocks, [&](int64_t b, int64_t begin, int64_t end) {
      kernel.second(begin, end, layer, from, gradients, changes, given,
                    hw_transposed.pointers<scalar_t>(), to_g, to_x, dw_p + b * w.numel());
    });
    dg.insert(dg.end(), dx.begin(), dx.end());
    dg.push_back(dw.sum(0));
  });
  return dg;
}

// ---- Derivatives

variable_list slice(const variable_list& list, size_t begin, size_t end) {
  return variable_list(list.begin() + int64_t(begin), list.begin() + int64_t(end));
}

struct DenseBackward : torch::autograd::Function<DenseBackward> {
  static variable_list forward(AutogradContext* context, at::TensorList g, at::TensorList x, const Tensor& w,
                               const Tensor& z, bool activated, const std::string& name, bool by_w) {
    at::AutoDispatchBelowADInplaceOrView below;
    variable_list saved(g.begin(), g.end());
    saved.insert(saved.end(), x.begin(), x.end());
    saved.push_back(w);
    saved.push_back(z);
    context->save_for_backward(std::move(saved));
    context->saved_data["outputs"] = int64_t(g.size());
    context->saved_data["inputs"] = int64_t(x.size());
    context->saved_data["activated"] = activated;
    context->saved_data["name"] = name;
    context->saved_data["by_w"] = by_w;
    static const auto op = find_operator<decltype(dense_backward_cpu)>("vitreous::dense_backward");
    return op.call(g, x, w, z, activated, name, by_w);
  }

  static variable_list backward(AutogradContext* context, variable_list h) {
    const auto saved = context->get_saved_variables();
    const auto outputs = size_t(context->saved_data["outputs"].toInt()),
               inputs = size_t(context->saved_data["inputs"].toInt());
    const auto g = slice(saved, 0, outputs), x = slice(saved, outputs, outputs + inputs);
    const auto &w = saved[outputs + inputs], &z = saved[outputs + inputs + 1];
    const auto hx = slice(h, 0, inputs);
    const auto hw = context->saved_data["by_w"].toBool() ? Optional(h[inputs]) : Optional();
    const bool activated = context->saved_data["activated"].toBool();
    variable_list of = saved;
    of.insert(of.end(), h.begin(), h.end());
    auto d = last_derivative(of, [&]() -> variable_list {
      static const auto op = find_operator<decltype(dense_second_cpu)>("vitreous::dense_second");
      return op.call(hx, hw, g, x, w, z, activated, context->saved_data["name"].toStringRef());
    });
    d.resize(d.size() + 4);  // z, which the inputs make, and what is no tensor
    return d;
  }
};

struct Dense : torch::autograd::Function<Dense> {
  static variable_list forward(AutogradContext* context, at::TensorList x, const Tensor& w, at::IntArrayRef widths,
                               bool activated, const std::string& name) {
    at::AutoDispatchBelowADInplaceOrView below;
    static const auto op = find_operator<decltype(dense_cpu)>("vitreous::dense");
    auto y = op.call(x, w, widths, activated, name);
    variable_list saved(x.begin(), x.end());
    saved.push_back(w);
    saved.push_back(activated ? y.back() : at::empty({0}, w.options()));
    context->save_for_backward(std::move(saved));
    context->saved_data["inputs"] = int64_t(x.size());
    context->saved_data["widths"] = widths.vec();
    context->saved_data["activated"] = activated;
    context->saved_data["name"] = name;
    if (activated) context->mark_non_differentiable({y.back()});
    context->set_materialize_grads(false);  // of that as little as of what nobody reads
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list g) {
    const auto saved = context->get_saved_variables();
    const auto inputs = size_t(context->saved_data["inputs"].toInt());
    const bool activated = context->saved_data["activated"].toBool();
    if (activated) g.pop_back();
    const auto widths = context->saved_data["widths"].toIntVector();
    for (size_t k = 0; k < g.size(); ++k) {
      if (!g[k].defined()) g[k] = at::zeros_symint({saved[0].sym_size(0), widths[k]}, saved[0].options());
    }
    const bool by_w = context->needs_input_grad(inputs);
    static const auto op = find_operator<decltype(dense_backward_cpu)>("vitreous::dense_backward");
    auto d = op.call(g, slice(saved, 0, inputs), saved[inputs], saved[inputs + 1], activated,
                     context->saved_data["name"].toStringRef(), by_w);
    if (!by_w) d.back() = Tensor();
    d.resize(inputs + 4);
    return d;
  }
};

Tensors dense_autograd(at::TensorList x, const Tensor& w, at::IntArrayRef widths, bool activated,
                       const std::string& name) {
  return Dense::apply(x, w, widths, activated, name);
}

Tensors dense_backward_autograd(at::TensorList g, at::TensorList x, const Tensor& w, const Tensor& z, bool activated,
                                const std::string& name, bool by_w) {
  return DenseBackward::apply(g, x, w, z, activated, name, by_w);
}

TORCH_LIBRARY_FRAGMENT(vitreous, library) {
  library.def("dense(Tensor[] x, Tensor w, int[] widths, bool activated, str kernel) -> Tensor[]");
  library.def(
      "dense_backward(Tensor[] g, Tensor[] x, Tensor w, Tensor z, bool activated, str kernel, bool by_w) -> Tensor[]");
  library.def(
      "dense_second(Tensor[] hx, Tensor? hw, Tensor[] g, Tensor[] x, Tensor w, Tensor z, bool activated, str kernel) "
      "-> Tensor[]");
}

TORCH_LIBRARY_IMPL(vitreous, CPU, library) {
  library.impl("dense", &dense_cpu);
  library.impl("dense_backward", &dense_backward_cpu);
  library.impl("dense_second", &dense_second_cpu);
}

TORCH_LIBRARY_IMPL(vitreous, Autograd, library) {
  library.impl("dense", &dense_autograd);
  library.impl("dense_backward", &dense_backward_autograd);
}

}  // namespace
}  // namespace vitreous
