// A deployed model as the pair style sees it. The implementation lies in a library of its own, so that an lmp
// without pair_style nequip never loads torch.
#pragma once

#include "graph.h"
#include "metadata.h"

#include <string>

namespace vitreous {

// Where and how a model runs. Empty words leave the choice to VITREOUS_DEVICE and VITREOUS_KERNEL, then to us.
struct ModelOptions {
  std::string path;
  std::string device;     // cpu, cuda or cuda:1; else one of several GPUs by local_rank
  std::string kernel;     // auto, reference or cpp
  int local_rank = 0;     // of this process among
  int ranks_of_node = 1;  // those of its computer
  bool exchanging = false;  // whether processes hand each other features between layers
};

class Exchanger;

// What is asked for beside energies, forces and the virial.
struct Request {
  Exchanger *exchanger = nullptr;  // with it features of others' atoms are fetched between layers
  bool edge_gradient = false;
  bool grade = false;
};

class Model {
 public:
  virtual ~Model() = default;
  virtual const Metadata &metadata() const = 0;
  virtual std::string describe_device() const = 0;  // and the kernels

  // Throws ModelError when the model fails, runs out of memory, or answers in another shape.
  virtual Prediction evaluate(const Graph &graph, const Request &request) = 0;
};

// Name and type of the function that the library of the evaluator exports. It throws ModelError.
inline constexpr const char *kLoadModel = "vitreous_load_model";
using LoadModel = Model *(const ModelOptions &options);

}  // namespace vitreous
