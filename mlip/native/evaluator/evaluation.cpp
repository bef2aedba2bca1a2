#include "evaluation.h"

#include "metadata.h"
#include "torch_error.h"

#include <ATen/Parallel.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/stack.h>
#include <cstring>

namespace vitreous {
namespace {

at::Tensor integers(const std::vector<std::int64_t> &values) {
  // Wrapped, not copied: the graph outlives the evaluation. Torch has no const tensors.
  return at::from_blob(const_cast<std::int64_t *>(values.data()), {static_cast<std::int64_t>(values.size())},
                       at::kLong);
}

at::Tensor reals(const double *values, at::IntArrayRef shape) {
  return at::from_blob(const_cast<double *>(values), shape, at::kDouble);
}

Tensors input_tensors(const Graph &graph, c10::Device device) {
  return {{"pos", reals(graph.positions.data(), {graph.num_atoms(), 3}).to(device)},
          {"atom_types", integers(graph.types).to(device)},
          {"edge_index", at::stack({integers(graph.centers), integers(graph.neighbors)}).to(device)},
          {"num_local", at::scalar_tensor(graph.num_local, at::kLong)},
          {"edge_cell_shift", reals(graph.shifts.data(), {graph.num_edges(), 3}).to(device)},
          {"cell", reals(graph.cell.data(), {1, 3, 3}).to(device)}};
}

void copy_output(const Tensors &output, const char *name, double *target, std::int64_t size) {
  const auto entry = output.find(name);
  if (entry == output.end()) throw ModelError(std::string("the model returns no '") + name + "'");
  const at::Tensor tensor = entry->second.detach().to(at::kCPU, at::kDouble).contiguous();
  if (tensor.numel() != size)
    throw ModelError(std::string("the model returns '") + name + "' with " + std::to_string(tensor.numel()) +
                     " numbers, expected " + std::to_string(size));
  std::memcpy(target, tensor.const_data_ptr<double>(), size * sizeof(double));
}

Prediction read_output(const Tensors &output, const Graph &graph, const Request &request) {
  const std::int64_t num_atoms = graph.num_atoms();
  Prediction prediction;
  prediction.energies.resize(num_atoms);
  prediction.forces.resize(3 * num_atoms);
  copy_output(output, "atomic_energy", prediction.energies.data(), num_atoms);
  copy_output(output, "forces", prediction.forces.data(), 3 * num_atoms);
  copy_output(output, "virial", prediction.virial.data(), 9);
  if (request.grade) {
    if (!output.count("extrapolation_grade"))
      throw ModelError("the file knows no extrapolation grade, which a fix asks for; deploy the potential with "
                       "grade=true");
    prediction.grades.resize(num_atoms);
    copy_output(output, "extrapolation_grade", prediction.grades.data(), num_atoms);
  }
  if (request.edge_gradient) {
    if (!output.count("edge_gradient"))
      throw ModelError("the file knows no virial per atom, which a compute asks for (stress/atom, heat/flux); deploy "
                       "the potential again, format=torchscript");
    prediction.edge_gradient.resize(3 * graph.num_edges());
    copy_output(output, "edge_gradient", prediction.edge_gradient.data(), 3 * graph.num_edges());
  }
  return prediction;
}

std::string size_of(const Graph &graph) {
  return std::to_string(graph.num_atoms()) + " atoms and " + std::to_string(graph.num_edges()) + " edges";
}

}  // namespace

Prediction evaluate_by(const Graph &graph, c10::Device device, const Request &request,
                       const std::function<Tensors(const Tensors &)> &run) {
  try {
    return read_output(run(input_tensors(graph, device)), graph, request);
  } catch (const ModelError &) {
    throw;
  } catch (const std::exception &error) {
    if (is_out_of_memory(error))
      throw ModelError(device.str() + " has too little memory for " + size_of(graph) +
                       "; use a smaller cell, a float32 deployment, " +
                       (device.is_cpu() ? "or more computers" : "more GPUs or VITREOUS_DEVICE=cpu"));
    throw ModelError("the model failed on " + size_of(graph) + ": " + one_line(error));
  }
}

std::string describe(c10::Device device) {
  if (!device.is_cpu()) return device.str();
  const int threads = at::get_num_threads();
  return "cpu with " + std::to_string(threads) + (threads == 1 ? " thread" : " threads");
}

}  // namespace vitreous
