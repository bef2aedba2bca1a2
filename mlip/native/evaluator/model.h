// A deployed model as the pair style sees it. The implementation lies in a library of its own, so that an lmp
// without pair_style nequip never loads torch.
#pragma once

#include "graph.h"
#include "metadata.h"

#include <string>

namespace vitreous {

class Model {
 public:
  virtual ~Model() = default;
  virtual const Metadata &metadata() const = 0;
  virtual std::string describe_device() const = 0;  // and the kernels

  // Throws ModelError when the model fails, runs out of memory, or answers in another shape.
  virtual Prediction evaluate(const Graph &graph) = 0;
};

// Name and type of the function that the library of the evaluator exports. It throws ModelError.
// local_rank chooses among several GPUs; VITREOUS_DEVICE (cpu, cuda, cuda:1) overrides, VITREOUS_KERNEL (auto,
// reference, cpp) chooses the kernels.
inline constexpr const char *kLoadModel = "vitreous_load_model";
using LoadModel = Model *(const char *path, int local_rank);

}  // namespace vitreous
