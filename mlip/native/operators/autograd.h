// What operators with derivatives of their own are written with.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

namespace vitreous {

using at::Tensor;
using std::int64_t;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The registered operator, so that a call of it goes through torch's dispatcher.
template <class Signature>
c10::TypedOperatorHandle<Signature> find_operator(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

// Refuses a tensor that is not of these sizes and of this type, before anyone takes its pointer.
inline void require(const char* name, const Tensor& tensor, at::IntArrayRef sizes, at::ScalarType type) {
  TORCH_CHECK(tensor.sizes() == sizes && tensor.scalar_type() == type, "found ", name, " of ", tensor.sizes(), ", ",
              tensor.scalar_type(), "; expected ", sizes, ", ", type);
}

// Second derivatives, with which the formulas end: who wants to differentiate them gets an error, not zeros.
template <class Compute>
struct LastDerivative : torch::autograd::Function<LastDerivative<Compute>> {
  static variable_list forward(AutogradContext*, at::TensorList, const Compute& compute) {
    at::AutoDispatchBelowADInplaceOrView below;
    return compute();
  }
  static variable_list backward(AutogradContext*, variable_list) {
    TORCH_CHECK(false, "found a third derivative of a compiled kernel; expected two at most; use kernel=reference");
  }
};

// Calls `compute`, which depends on the tensors `of`.
template <class Compute>
variable_list last_derivative(at::TensorList of, const Compute& compute) {
  return LastDerivative<Compute>::apply(of, compute);
}

}  // namespace vitreous
