// The operator of a linear map of atoms' features with constant weights, which may differ from species to species.
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include "autograd.h"
#include "node_linear_kernel.h"
#include "registry.h"

namespace vitreous {
namespace {

using Optional = c10::optional<Tensor>;

constexpr int64_t atom_grain = 16;  // atoms per thread at least: a map takes about a microsecond

std::vector<NodeBlock> to_blocks(at::IntArrayRef numbers, const Tensor& x, const Tensor& w, int64_t result) {
  TORCH_CHECK(numbers.size() % 6 == 0, "found ", numbers.size(), " numbers of blocks; expected six each");
  std::vector<NodeBlock> blocks;
  for (size_t at = 0; at < numbers.size(); at += 6) {
    const NodeBlock block{numbers[at],     numbers[at + 1], numbers[at + 2],
                          numbers[at + 3], numbers[at + 4], numbers[at + 5]};
    const auto row = (block.outputs + weight_padding - 1) / weight_padding * weight_padding;
    TORCH_CHECK(block.in + block.dim * block.inputs <= x.size(1) && block.out + block.dim * block.outputs <= result &&
                    block.weight + block.inputs * row <= w.size(1),
                "found a block that reaches beyond features, weights or result");
    blocks.push_back(block);
  }
  return blocks;
}

void require_below(const Tensor& species, int64_t count) {
  const auto* of_atom = species.const_data_ptr<int64_t>();
  for (int64_t n = 0; n < species.numel(); ++n) {
    TORCH_CHECK(0 <= of_atom[n] && of_atom[n] < count, "found species ", of_atom[n], "; expected 0 to ", count - 1);
  }
}

Tensor node_linear_cpu(const Tensor& x_, const Optional& species_, const Tensor& w_, const Tensor&,
                       at::IntArrayRef blocks_, at::IntArrayRef, int64_t result, const std::string& name) {
  const auto x = x_.contiguous(), w = w_.contiguous();
  const auto species = species_ ? species_->contiguous() : Tensor();
  const auto type = x.scalar_type();
  require("features", x, {x.size(0), x.size(-1)}, type);
  require("weights", w, {w.size(0), w.size(-1)}, type);
  if (species_) require("species", species, {x.size(0)}, at::kLong);
  if (species_) require_below(species, w.size(0));
  const auto blocks = to_blocks(blocks_, x, w, result);
  auto out = at::empty({x.size(0), result}, x.options());
  AT_DISPATCH_FLOATING_TYPES(type, "node_linear", [&] {
    const auto& kernel = find_kernel<NodeLinearKernel, scalar_t>(name);
    const NodeLinear<scalar_t> map{blocks.data(),
                                   int64_t(blocks.size()),
                                   x.size(1),
                                   result,
                                   w.const_data_ptr<scalar_t>(),
                                   w.size(1),
                                   species_ ? species.const_data_ptr<int64_t>() : nullptr};
    auto* out_p = out.data_ptr<scalar_t>();
    at::parallel_for(0, x.size(0), atom_grain, [&](int64_t begin, int64_t end) {
      kernel.forward(begin, end, map, x.const_data_ptr<scalar_t>(), out_p);
    });
  });
  return out;
}

struct NodeLinearMap : torch::autograd::Function<NodeLinearMap> {
  static Tensor forward(AutogradContext* context, const Tensor& x, const Optional& species, const Tensor& w,
                        const Tensor& w_back, at::IntArrayRef blocks, at::IntArrayRef blocks_back, int64_t result,
                        const std::string& name) {
    TORCH_CHECK(!w.requires_grad() && !w_back.requires_grad(),
                "found weights that are trained; expected constant ones; use kernel=reference");
    at::AutoDispatchBelowADInplaceOrView below;
    context->save_for_backward({species.value_or(Tensor()), w, w_back});
    context->saved_data["blocks"] = blocks.vec();
    context->saved_data["blocks_back"] = blocks_back.vec();
    context->saved_data["features"] = x.sym_size(1).guard_int(__FILE__, __LINE__);  // not all sizes: traced ones vary
    context->saved_data["name"] = name;
    return call(x, species, w, w_back, blocks, blocks_back, result, name);
  }

  // The same map with transposed matrices, and again with a derivative.
  static variable_list backward(AutogradContext* context, variable_list g) {
    const auto saved = context->get_saved_variables();
    const auto species = saved[0].defined() ? Optional(saved[0]) : Optional();
    auto gx = call(g[0], species, saved[2], saved[1], context->saved_data["blocks_back"].toIntVector(),
                   context->saved_data["blocks"].toIntVector(), context->saved_data["features"].toInt(),
                   context->saved_data["name"].toStringRef());
    return {gx, Tensor(), Tensor(), Tensor(), Tensor(), Tensor(), Tensor(), Tensor()};
  }

  static Tensor call(const Tensor& x, const Optional& species, const Tensor& w, const Tensor& w_back,
                     at::IntArrayRef blocks, at::IntArrayRef blocks_back, int64_t result, const std::string& name) {
    static const auto op = find_operator<decltype(node_linear_cpu)>("vitreous::node_linear");
    return op.call(x, species, w, w_back, blocks, blocks_back, result, name);
  }
};

Tensor node_linear_autograd(const Tensor& x, const Optional& species, const Tensor& w, const Tensor& w_back,
                            at::IntArrayRef blocks, at::IntArrayRef blocks_back, int64_t result,
                            const std::string& name) {
  return NodeLinearMap::apply(x, species, w, w_back, blocks, blocks_back, result, name);
}

TORCH_LIBRARY_FRAGMENT(vitreous, library) {
  library.def(
      "node_linear(Tensor x, Tensor? species, Tensor w, Tensor w_back, int[] blocks, int[] blocks_back, int result, "
      "str kernel) -> Tensor");
}

TORCH_LIBRARY_IMPL(vitreous, CPU, library) { library.impl("node_linear", &node_linear_cpu); }

TORCH_LIBRARY_IMPL(vitreous, Autograd, library) { library.impl("node_linear", &node_linear_autograd); }

}  // namespace
}  // namespace vitreous
