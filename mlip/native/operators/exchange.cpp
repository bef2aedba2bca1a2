// The operator that fetches features of other processes' atoms, and its derivative.
#include "exchanger.h"

#include <ATen/Dispatch.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <atomic>

#include "autograd.h"

namespace vitreous {
namespace {

std::atomic<Exchanger*> exchanger{nullptr};  // one a process: derivatives on GPUs run in threads of torch's

// Calls `run` with a copy of the rows where the partner wants them, and returns it on the rows' device.
template <class Run>
Tensor with_copy(const Tensor& x, const Exchanger& partner, Run run) {
  const auto memory = partner.on_device() ? x.device() : at::Device(at::kCPU);
  auto rows = x.to(memory, x.scalar_type(), /*non_blocking=*/false, /*copy=*/true, at::MemoryFormat::Contiguous);
  TORCH_CHECK(rows.dim() == 2, "found features of ", rows.sizes(), "; expected a row for each atom");
  // The partner knows nothing of torch's streams.
  if (!memory.is_cpu()) c10::impl::VirtualGuardImpl(memory.type()).getStream(memory).synchronize();
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "exchange", [&] { run(rows.data_ptr<scalar_t>(), rows.size(1)); });
  return rows.to(x.device());
}

Tensor exchange(const Tensor& x) {
  auto* partner = exchanger.load();
  if (!partner) return x;
  return with_copy(x, *partner, [&](auto* rows, int64_t width) { partner->forward(rows, width); });
}

Tensor exchange_backward(const Tensor& g) {
  auto* partner = exchanger.load();
  if (!partner) return g;
  return with_copy(g, *partner, [&](auto* rows, int64_t width) { partner->reverse(rows, width); });
}

struct Exchange : torch::autograd::Function<Exchange> {
  static Tensor forward(AutogradContext*, const Tensor& x) {
    at::AutoDispatchBelowADInplaceOrView below;
    return exchange(x);
  }
  static variable_list backward(AutogradContext*, variable_list g) {
    const auto back = last_derivative({g[0]}, [&]() -> variable_list { return {exchange_backward(g[0])}; });
    return {back[0]};
  }
};

Tensor exchange_autograd(const Tensor& x) { return exchanger.load() ? Exchange::apply(x) : x; }

TORCH_LIBRARY_FRAGMENT(vitreous, library) { library.def("exchange(Tensor x) -> Tensor"); }

TORCH_LIBRARY_IMPL(vitreous, CompositeExplicitAutograd, library) { library.impl("exchange", &exchange); }

TORCH_LIBRARY_IMPL(vitreous, Autograd, library) { library.impl("exchange", &exchange_autograd); }

}  // namespace
}  // namespace vitreous

extern "C" void vitreous_set_exchanger(vitreous::Exchanger* partner) { vitreous::exchanger.store(partner); }
