#include "evaluation.h"

#include "metadata.h"
#include "torch_error.h"

#include <ATen/Parallel.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/scalar_tensor.h>
#include <algorithm>

namespace vitreous {
namespace {

// Wrapped, not copied: the graph outlives the evaluation. Torch has no const tensors.
template <class Number>
at::Tensor wrap(const Number *values, at::IntArrayRef shape, c10::Device memory) {
  const auto options = at::TensorOptions().dtype(c10::CppTypeToScalarType<Number>::value).device(memory);
  return at::from_blob(const_cast<Number *>(values), shape, options);
}

Tensors input_tensors(const Graph &graph, c10::Device device) {
  const c10::Device host(c10::kCPU), memory = graph.on_device ? device : host;
  return {{"pos", wrap(graph.positions, {graph.num_atoms, 3}, memory).to(device)},
          {"atom_types", wrap(graph.types, {graph.num_atoms}, memory).to(device)},
          {"edge_index", wrap(graph.edge_index, {2, graph.num_edges}, memory).to(device)},
          {"num_local", at::scalar_tensor(graph.num_local, at::kLong)},
          {"edge_cell_shift", wrap(graph.shifts, {graph.num_edges, 3}, memory).to(device)},
          {"cell", wrap(graph.cell.data(), {1, 3, 3}, host).to(device)}};
}

// The model's answer where the caller wants it, kept alive by the prediction that points into it.
class Answer {
 public:
  Answer(Tensors output, c10::Device memory) : output_(std::move(output)), memory_(memory) {}

  bool has(const char *name) const { return output_.count(name) > 0; }

  double *numbers(const char *name, std::int64_t count) { return read(name, count, memory_); }

  double *host_numbers(const char *name, std::int64_t count) { return read(name, count, c10::Device(c10::kCPU)); }

 private:
  Tensors output_;
  c10::Device memory_;

  double *read(const char *name, std::int64_t count, c10::Device memory) {
    const auto entry = output_.find(name);
    if (entry == output_.end()) throw ModelError(std::string("the model returns no '") + name + "'");
    at::Tensor &tensor = entry->second;
    tensor = tensor.detach().to(memory, at::kDouble).contiguous();
    if (tensor.numel() != count)
      throw ModelError(std::string("the model returns '") + name + "' with " + std::to_string(tensor.numel()) +
                       " numbers, expected " + std::to_string(count));
    return tensor.mutable_data_ptr<double>();
  }
};

Prediction read_output(Tensors output, const Graph &graph, c10::Device device, const Request &request) {
  const auto answer = std::make_shared<Answer>(std::move(output), graph.on_device ? device : c10::Device(c10::kCPU));
  Prediction prediction;
  prediction.memory = answer;
  prediction.energies = answer->numbers("atomic_energy", graph.num_atoms);
  prediction.forces = answer->numbers("forces", 3 * graph.num_atoms);
  if (request.grade) {
    if (!answer->has("extrapolation_grade"))
      throw ModelError("the file knows no extrapolation grade, which a fix or compute asks for; deploy the potential with "
                       "grade=true");
    prediction.grades = answer->numbers("extrapolation_grade", graph.num_atoms);
  }
  if (request.edge_gradient) {
    if (!answer->has("edge_gradient"))
      throw ModelError("the file knows no virial per atom, which a compute asks for (stress/atom, heat/flux); deploy "
                       "the potential again, format=torchscript");
    prediction.edge_gradient = answer->numbers("edge_gradient", 3 * graph.num_edges);
  }
  // Last, for its way to the host waits until the device has done all else.
  std::copy_n(answer->host_numbers("virial", 9), 9, prediction.virial.begin());
  return prediction;
}

std::string size_of(const Graph &graph) {
  return std::to_string(graph.num_atoms) + " atoms and " + std::to_string(graph.num_edges) + " edges";
}

}  // namespace

Prediction evaluate_by(const Graph &graph, c10::Device device, const Request &request,
                       const std::function<Tensors(const Tensors &)> &run) {
  try {
    return read_output(run(input_tensors(graph, device)), graph, device, request);
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
