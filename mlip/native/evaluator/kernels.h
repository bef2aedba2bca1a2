// Our operators, and the compiled kernels that a deployed file carries.
#pragma once

#include "exchanger.h"
#include "metadata.h"

#include <string>
#include <torch/csrc/jit/api/module.h>

namespace vitreous {

// Name, among a deployed file's extra files, of the same model with compiled kernels.
inline constexpr const char *kWithKernels = "vitreous_cpp";

struct ModelWithKernels {
  torch::jit::Module module;
  std::string target;  // the instructions that its kernels use, as compilers name them
};

// Whether the word, or else VITREOUS_KERNEL, lets a model run on compiled kernels, or demands it. Throws
// ModelError for other words.
enum class KernelChoice { automatic, reference, cpp };
KernelChoice chosen_kernel(const std::string &wanted);

// Loads our operators with torch. Throws ModelError if they are not there.
void load_operators();

// While it lives, the operators know this partner.
class Partnership {
 public:
  explicit Partnership(Exchanger *partner);
  ~Partnership();
  Partnership(const Partnership &) = delete;
  Partnership &operator=(const Partnership &) = delete;

 private:
  bool told_;
};

// Loads our operators, the model and its kernels for this processor. Throws ModelError with the reason why not.
ModelWithKernels load_with_kernels(const std::string &content);

}  // namespace vitreous
