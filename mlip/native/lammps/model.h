// A deployed model: loads a TorchScript file and evaluates it. Its header keeps torch out of LAMMPS's code.
#pragma once

#include "graph.h"
#include "metadata.h"

#include <memory>
#include <string>

namespace vitreous {

class Model {
 public:
  // Throws ModelError. local_rank chooses among several GPUs; VITREOUS_DEVICE (cpu, cuda, cuda:1) overrides.
  Model(const std::string &path, int local_rank);
  ~Model();

  const Metadata &metadata() const;
  std::string describe_device() const;

  // Throws ModelError when the model fails, runs out of memory, or answers in another shape.
  Prediction evaluate(const Graph &graph);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl;
};

}  // namespace vitreous
