// The torch operators of the compiled kernels, with their derivatives: usable from eager code, TorchScript and
// exported programs. The kernels themselves are generated, compiled apart from torch, and loaded by name.
#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <torch/library.h>
#include <torch/torch.h>

#include <mutex>
#include <unordered_map>

#include "edge_function_kernel.h"
#include "interaction_kernel.h"

namespace vitreous {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using std::int64_t;

// ---- Loaded kernels

std::mutex kernels_mutex;
std::unordered_map<std::string, const void*> kernels;

void load_kernel(const std::string& library, const std::string& name) {
  void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  TORCH_CHECK(handle, "cannot load ", library, ": ", dlerror());
  const void* symbol = dlsym(handle, name.c_str());
  TORCH_CHECK(symbol, "found no ", name, " in ", library);
  std::lock_guard<std::mutex> guard(kernels_mutex);
  kernels[name] = symbol;
}

template <class Kernel>
const Kernel& find_kernel(const std::string& name) {
  std::lock_guard<std::mutex> guard(kernels_mutex);
  const auto found = kernels.find(name);
  TORCH_CHECK(found != kernels.end(), "the kernel ", name, " is not loaded");
  return *static_cast<const Kernel*>(found->second);
}

// ---- Edges

struct EdgeTensors {
  Tensor start, neighbor, weight_row;

  Edges pointers() const {
    return {start.const_data_ptr<int64_t>(), neighbor.const_data_ptr<int64_t>(), weight_row.const_data_ptr<int64_t>()};
  }
};

// Where the edges of each centre start, which row of weights each edge uses, and the edge that each row is of.
std::tuple<Tensor, Tensor, Tensor> index_edges(const Tensor& edge_index, const Tensor& edge_vec, int64_t num_atoms,
                                               bool share) {
  const auto index = edge_index.contiguous();
  const auto vectors = edge_vec.detach().contiguous();
  const int64_t num_edges = index.size(1);
  const int64_t *centre = index.const_data_ptr<int64_t>(), *neighbor = centre + num_edges;
  const double* vec = vectors.const_data_ptr<double>();
  auto start = at::zeros({num_atoms + 1}, index.options());
  auto weight_row = at::empty({num_edges}, index.options());
  auto row_edge = at::empty({num_edges}, index.options());
  int64_t *first = start.data_ptr<int64_t>(), *row_of = weight_row.data_ptr<int64_t>(),
          *edge_of = row_edge.data_ptr<int64_t>();
  for (int64_t e = 0; e < num_edges; ++e) {
    TORCH_CHECK(e == 0 || centre[e - 1] <= centre[e], "found edges that are not sorted by their centre");
    ++first[centre[e] + 1];
  }
  for (int64_t n = 0; n < num_atoms; ++n) first[n + 1] += first[n];
  const int64_t unknown = num_edges;
  std::fill(row_of, row_of + num_edges, unknown);
  int64_t rows = 0;
  for (int64_t e = 0; e < num_edges; ++e) {
    if (row_of[e] != unknown) continue;
    edge_of[rows] = e;
    row_of[e] = rows;
    if (share) {
      const int64_t i = centre[e], j = neighbor[e];
      for (int64_t r = first[j]; r < first[j + 1]; ++r) {
        if (neighbor[r] != i || row_of[r] != unknown) continue;
        const double dx = vec[3 * e] + vec[3 * r], dy = vec[3 * e + 1] + vec[3 * r + 1],
                     dz = vec[3 * e + 2] + vec[3 * r + 2];
        if (dx * dx + dy * dy + dz * dz < 1e-12) {
          row_of[r] = ~rows;
          break;
        }
      }
    }
    ++rows;
  }
  return {start, weight_row, row_edge.narrow(0, 0, rows)};
}

// ---- Kernels on tensors

template <class T>
void require_widths(const InteractionKernel<T>& kernel, const Tensor& x, const Tensor& y, const Tensor& w) {
  TORCH_CHECK(x.size(1) == kernel.features && y.size(1) == kernel.harmonics && w.size(1) == kernel.weights,
              "found rows of ", x.size(1), ", ", y.size(1), ", ", w.size(1), " numbers; the kernel takes ",
              kernel.features, ", ", kernel.harmonics, ", ", kernel.weights);
}

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

constexpr int64_t grain = 4;  // centres per thread at least: an edge takes microseconds

template <class Run>
void over_centres(int64_t num_atoms, Run run) {
  at::parallel_for(0, num_atoms, grain, run);
}

Tensor interaction_cpu(const Tensor& x_, const Tensor& y_, const Tensor& w_, const Tensor& start, const Tensor& neighbor,
                       const Tensor& weight_row, const std::string& name) {
  const auto x = x_.contiguous(), y = y_.contiguous(), w = w_.contiguous();
  const EdgeTensors edges{start, neighbor.contiguous(), weight_row};
  Tensor out;
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "interaction", [&] {
    const auto& kernel = find_kernel<InteractionKernel<scalar_t>>(name);
    require_widths(kernel, x, y, w);
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
  const EdgeTensors edges{start, neighbor.contiguous(), weight_row};
  ThreadRows gx(x);
  auto gy = at::empty_like(y), gw = at::empty_like(w);
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "interaction_backward", [&] {
    const auto& kernel = find_kernel<InteractionKernel<scalar_t>>(name);
    require_widths(kernel, x, y, w);
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
    const Tensor& w_, const Tensor& start, const Tensor& neighbor, const Tensor& weight_row, const std::string& name) {
  const auto hx = hx_.contiguous(), hy = hy_.contiguous(), hw = hw_.contiguous();
  const auto g = g_.contiguous(), x = x_.contiguous(), y = y_.contiguous(), w = w_.contiguous();
  const EdgeTensors edges{start, neighbor.contiguous(), weight_row};
  ThreadRows dx(x);
  auto dy = at::empty_like(y), dw = at::empty_like(w), dg = at::zeros_like(g);
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "interaction_second", [&] {
    const auto& kernel = find_kernel<InteractionKernel<scalar_t>>(name);
    require_widths(kernel, x, y, w);
    const auto pointers = edges.pointers();
    auto *dy_p = dy.data_ptr<scalar_t>(), *dw_p = dw.data_ptr<scalar_t>(), *dg_p = dg.data_ptr<scalar_t>();
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

// ---- Dispatch and derivatives

template <class Signature>
c10::TypedOperatorHandle<Signature> find_operator(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

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
                                                       const std::string& name) {
  static const auto op = find_operator<decltype(interaction_second_cpu)>("vitreous::interaction_second");
  return op.call(hx, hy, hw, g, x, y, w, e.start, e.neighbor, e.weight_row, name);
}

Tensor or_zeros(const Tensor& h, const Tensor& like) { return h.defined() ? h : at::zeros_like(like); }

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
    at::AutoDispatchBelowADInplaceOrView below;  // the third derivative is not there
    auto [dx, dy, dw, dg] = call_second(or_zeros(h[0], x), or_zeros(h[1], y), or_zeros(h[2], w), g, x, y, w,
                                        {saved[4], saved[5], saved[6]}, context->saved_data["name"].toStringRef());
    return {dg, dx, dy, dw, Tensor(), Tensor(), Tensor(), Tensor()};
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

// ---- Functions of edge vectors

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

TORCH_LIBRARY(vitreous, library) {
  library.def("load_kernel(str library, str name) -> ()", &load_kernel);
  library.def(
      "edge_function(Tensor vec, Tensor? edge, Tensor scale, str kernel, ScalarType dtype) -> Tensor");
  library.def(
      "edge_function_backward(Tensor g, Tensor vec, Tensor? edge, Tensor scale, str kernel) -> Tensor");
  library.def(
      "edge_function_second(Tensor h, Tensor g, Tensor vec, Tensor? edge, Tensor scale, str kernel, bool by_vec) "
      "-> (Tensor, Tensor)");
  library.def("index_edges(Tensor edge_index, Tensor edge_vec, int num_atoms, bool share) -> (Tensor, Tensor, Tensor)");
  library.def(
      "interaction(Tensor x, Tensor y, Tensor w, Tensor start, Tensor neighbor, Tensor weight_row, str kernel) "
      "-> Tensor");
  library.def(
      "interaction_backward(Tensor g, Tensor x, Tensor y, Tensor w, Tensor start, Tensor neighbor, "
      "Tensor weight_row, str kernel) -> (Tensor, Tensor, Tensor)");
  library.def(
      "interaction_second(Tensor hx, Tensor hy, Tensor hw, Tensor g, Tensor x, Tensor y, Tensor w, Tensor start, "
      "Tensor neighbor, Tensor weight_row, str kernel) -> (Tensor, Tensor, Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(vitreous, CPU, library) {
  library.impl("edge_function", &edge_function_cpu);
  library.impl("edge_function_backward", &edge_function_backward_cpu);
  library.impl("edge_function_second", &edge_function_second_cpu);
  library.impl("index_edges", &index_edges);
  library.impl("interaction", &interaction_cpu);
  library.impl("interaction_backward", &interaction_backward_cpu);
  library.impl("interaction_second", &interaction_second_cpu);
}

TORCH_LIBRARY_IMPL(vitreous, Autograd, library) {
  library.impl("edge_function", &edge_function_autograd);
  library.impl("edge_function_backward", &edge_function_backward_autograd);
  library.impl("interaction", &interaction_autograd);
  library.impl("interaction_backward", &interaction_backward_autograd);
}

}  // namespace
}  // namespace vitreous
