// Loads a TorchScript file and evaluates it.
#include "model.h"

#include "kernels.h"
#include "torch_error.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/stack.h>
#include <c10/core/GradMode.h>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/csrc/jit/serialization/import.h>
#include <torch/cuda.h>

namespace vitreous {
namespace {

using TensorDict = c10::Dict<std::string, at::Tensor>;

c10::Device choose_device(int local_rank) {
  if (const char *wanted = std::getenv("VITREOUS_DEVICE"); wanted && *wanted) {
    try {
      const c10::Device device{std::string(wanted)};
      if (device.is_cpu() || (device.is_cuda() && torch::cuda::is_available())) return device;
    } catch (const c10::Error &) {
      throw ModelError("VITREOUS_DEVICE is '" + std::string(wanted) + "'; expected cpu, cuda or cuda:N");
    }
    throw ModelError("VITREOUS_DEVICE is '" + std::string(wanted) +
                     "' but torch finds no such device here; unset it or set it to cpu");
  }
  if (!torch::cuda::is_available()) return c10::Device(c10::kCPU);
  const auto count = static_cast<int>(torch::cuda::device_count());
  return c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(local_rank % count));
}

bool ends_with(const std::string &text, const std::string &ending) {
  return text.size() >= ending.size() && text.substr(text.size() - ending.size()) == ending;
}

void check_file(const std::string &path) {
  if (ends_with(path, ".nequip.pt2"))
    throw ModelError(path + " is an AOTInductor file, which this pair style does not read; deploy the "
                            "potential with format=torchscript to get a .nequip.pth file");
  if (ends_with(path, ".mlip"))
    throw ModelError(path + " is a potential, not a deployed file; run 'mlip deploy potential=" + path +
                     " target=[lammps]' and use the .nequip.pth file it writes");
  if (!ends_with(path, ".nequip.pth"))
    throw ModelError("model file '" + path + "' found; expected a name that ends in .nequip.pth");
  if (!std::ifstream(path).good())
    throw ModelError("cannot open model file '" + path +
                     "'; check the path, which is relative to the folder that lmp was started in");
}

at::Tensor integers(const std::vector<std::int64_t> &values) {
  // Wrapped, not copied: the graph outlives the evaluation. Torch has no const tensors.
  return at::from_blob(const_cast<std::int64_t *>(values.data()), {static_cast<std::int64_t>(values.size())},
                       at::kLong);
}

at::Tensor reals(const double *values, at::IntArrayRef shape) {
  return at::from_blob(const_cast<double *>(values), shape, at::kDouble);
}

TensorDict model_input(const Graph &graph, c10::Device device) {
  TensorDict input;
  input.insert("pos", reals(graph.positions.data(), {graph.num_atoms(), 3}).to(device));
  input.insert("atom_types", integers(graph.types).to(device));
  input.insert("edge_index", at::stack({integers(graph.centers), integers(graph.neighbors)}).to(device));
  input.insert("edge_cell_shift", reals(graph.shifts.data(), {graph.num_edges(), 3}).to(device));
  input.insert("cell", reals(graph.cell.data(), {1, 3, 3}).to(device));
  return input;
}

void copy_output(const c10::impl::GenericDict &output, const char *name, double *target, std::int64_t size) {
  const auto entry = output.find(name);
  if (entry == output.end()) throw ModelError(std::string("the model returns no '") + name + "'");
  const at::Tensor tensor = entry->value().toTensor().detach().to(at::kCPU, at::kDouble).contiguous();
  if (tensor.numel() != size)
    throw ModelError(std::string("the model returns '") + name + "' with " + std::to_string(tensor.numel()) +
                     " numbers, expected " + std::to_string(size));
  std::memcpy(target, tensor.const_data_ptr<double>(), size * sizeof(double));
}

std::string size_of(const Graph &graph) {
  return std::to_string(graph.num_atoms()) + " atoms and " + std::to_string(graph.num_edges()) + " edges";
}

// While it lives, TorchScript runs without profiling, if told so, in this process.
class ProfilingMode {
 public:
  explicit ProfilingMode(bool wanted) : before(torch::jit::getProfilingMode().exchange(wanted)) {}
  ~ProfilingMode() { torch::jit::getProfilingMode() = before; }
  ProfilingMode(const ProfilingMode &) = delete;
  ProfilingMode &operator=(const ProfilingMode &) = delete;

 private:
  bool before;
};

class TorchModel : public Model {
 public:
  TorchModel(const std::string &path, c10::Device device);
  const Metadata &metadata() const override { return metadata_; }
  std::string describe_device() const override;
  Prediction evaluate(const Graph &graph) override;

 private:
  c10::Device device_;
  Metadata metadata_;
  torch::jit::Module module_;
  std::string kernels_ = "plain TorchScript";

  void take_kernels(const std::string &with_kernels, const std::string &path);
};

TorchModel::TorchModel(const std::string &path, c10::Device device) : device_(device) {
  torch::jit::ExtraFilesMap entries{
      {"r_max", ""},      {"num_types", ""},           {"type_names", ""},
      {"allow_tf32", ""}, {"per_edge_type_cutoff", ""}, {kWithKernels, ""}};
  try {
    module_ = torch::jit::load(path, device, entries);
  } catch (const std::exception &error) {
    throw ModelError("cannot read model file '" + path + "', it is damaged or no TorchScript file (" +
                     one_line(error) + "); copy it again or deploy the potential again");
  }
  metadata_ = parse_metadata(entries, path);
  take_kernels(entries[kWithKernels], path);
  module_.eval();
  // Forces are derivatives by positions only; weights that ask for gradients would cost memory and time.
  for (at::Tensor weight : module_.parameters()) weight.set_requires_grad(false);
  at::globalContext().setAllowTF32CuBLAS(metadata_.allow_tf32);
  at::globalContext().setAllowTF32CuDNN(metadata_.allow_tf32);
}

// Runs the model on the compiled kernels in its file where that works and VITREOUS_KERNEL does not forbid it.
void TorchModel::take_kernels(const std::string &with_kernels, const std::string &path) {
  const KernelChoice choice = chosen_kernel();
  if (choice == KernelChoice::reference || (choice == KernelChoice::automatic && !device_.is_cpu())) return;
  if (!device_.is_cpu()) throw ModelError("VITREOUS_KERNEL is cpp, which runs on CPUs; set VITREOUS_DEVICE to cpu");
  try {
    auto found = load_with_kernels(with_kernels);
    module_ = std::move(found.module);
    kernels_ = "compiled kernels for " + found.target;
  } catch (const ModelError &reason) {
    if (choice == KernelChoice::cpp) throw ModelError(path + ": " + reason.what());
    kernels_ += std::string(", slow: ") + reason.what();
  }
}

std::string TorchModel::describe_device() const {
  if (!device_.is_cpu()) return device_.str() + ", " + kernels_;
  const int threads = at::get_num_threads();
  return "cpu with " + std::to_string(threads) + (threads == 1 ? " thread, " : " threads, ") + kernels_;
}

Prediction TorchModel::evaluate(const Graph &graph) {
  const std::int64_t num_atoms = graph.num_atoms();
  Prediction prediction;
  prediction.energies.resize(num_atoms);
  prediction.forces.resize(3 * num_atoms);
  // The profiling executor pays where it fuses, on GPUs; on CPUs it took 1.7 times as long (3-layer NequIP).
  const ProfilingMode mode(!device_.is_cpu());
  // Models differentiate inside; a Python caller may have switched gradients off in this thread.
  const c10::AutoGradMode gradients(true);
  try {
    const auto output = module_.forward({model_input(graph, device_)}).toGenericDict();
    copy_output(output, "atomic_energy", prediction.energies.data(), num_atoms);
    copy_output(output, "forces", prediction.forces.data(), 3 * num_atoms);
    copy_output(output, "virial", prediction.virial.data(), 9);
  } catch (const c10::OutOfMemoryError &) {
    throw ModelError(device_.str() + " has too little memory for " + size_of(graph) +
                     "; use a smaller cell, a float32 deployment or VITREOUS_DEVICE=cpu");
  } catch (const ModelError &) {
    throw;
  } catch (const std::exception &error) {
    throw ModelError("the model failed on " + size_of(graph) + ": " + one_line(error));
  }
  return prediction;
}

}  // namespace
}  // namespace vitreous

extern "C" vitreous::Model *vitreous_load_model(const char *path, int local_rank) {
  vitreous::check_file(path);
  return new vitreous::TorchModel(path, vitreous::choose_device(local_rank));
}
