// Loads a TorchScript file and evaluates it.
#include "model.h"

#include "evaluation.h"
#include "kernels.h"
#include "package_model.h"
#include "torch_error.h"

#include <ATen/Context.h>
#include <c10/core/GradMode.h>
#include <cstdlib>
#include <fstream>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/csrc/jit/serialization/import.h>
#include <torch/cuda.h>

namespace vitreous {
namespace {

constexpr const char *kPackage = ".nequip.pt2";

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
  if (ends_with(path, ".mlip"))
    throw ModelError(path + " is a potential, not a deployed file; run 'mlip deploy potential=" + path +
                     " target=[lammps]' and use the .nequip.pth file it writes");
  if (!ends_with(path, ".nequip.pth") && !ends_with(path, kPackage))
    throw ModelError("model file '" + path + "' found; expected a name that ends in .nequip.pth or " + kPackage);
  if (!std::ifstream(path).good())
    throw ModelError("cannot open model file '" + path +
                     "'; check the path, which is relative to the folder that lmp was started in");
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
  std::string describe_device() const override { return describe(device_) + ", " + kernels_; }
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

Prediction TorchModel::evaluate(const Graph &graph) {
  // The profiling executor pays where it fuses, on GPUs; on CPUs it took 1.7 times as long (3-layer NequIP).
  const ProfilingMode mode(!device_.is_cpu());
  // Models differentiate inside; a Python caller may have switched gradients off in this thread.
  const c10::AutoGradMode gradients(true);
  return evaluate_by(graph, device_, [this](const Tensors &tensors) {
    c10::Dict<std::string, at::Tensor> input;
    for (const auto &[name, tensor] : tensors) input.insert(name, tensor);
    Tensors output;
    for (const auto &entry : module_.forward({input}).toGenericDict())
      output.emplace(entry.key().toStringRef(), entry.value().toTensor());
    return output;
  });
}

}  // namespace
}  // namespace vitreous

extern "C" vitreous::Model *vitreous_load_model(const char *path, int local_rank) {
  vitreous::check_file(path);
  if (vitreous::ends_with(path, vitreous::kPackage))
    return vitreous::load_package(path, vitreous::choose_device(local_rank)).release();
  return new vitreous::TorchModel(path, vitreous::choose_device(local_rank));
}
