// What all kinds of model files share: tensors of a graph, numbers of the answer, errors in one line.
#pragma once

#include "graph.h"
#include "model.h"

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <functional>
#include <string>
#include <unordered_map>

namespace vitreous {

using Tensors = std::unordered_map<std::string, at::Tensor>;

// Calls `run` with the tensors that upstream's pair style sends, and reads what it returns. Throws ModelError when
// the model fails, runs out of memory, or answers in another shape.
Prediction evaluate_by(const Graph &graph, c10::Device device, const Request &request,
                       const std::function<Tensors(const Tensors &)> &run);

// With the number of threads.
std::string describe(c10::Device device);

}  // namespace vitreous
