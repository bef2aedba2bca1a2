// Loads a TorchScript file and evaluates it.
#include "model.h"

#include "evaluation.h"
#include "kernels.h"
#include "package_model.h"
#include "torch_error.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <algorithm>
#include <c10/core/GradMode.h>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/csrc/jit/serialization/import.h>
#include <torch/cuda.h>

namespace vitreous {
namespace {

constexpr const char *kPackage = ".nequip.pt2";
// What a file may say about itself; a file without an entry leaves it empty.
constexpr const char *kEntries[] = {"r_max",           "num_types",   "type_names",      "allow_tf32",
                                    "per_edge_type_cutoff", "model_dtype", "vitreous_format", "vitreous_layers",
                                    "vitreous_exchanged_bytes"};
constexpr const char *kForRanks = "vitreous_ranks";

ModelError no_device(const std::string &wanted) {
  return ModelError("device is '" + wanted + "' but torch finds no such device here; leave it out or set it to cpu");
}

c10::Device named_device(const std::string &wanted, bool has_cuda) {
  try {
    const c10::Device device{wanted};
    if (device.is_cuda() && has_cuda) return device;
    if (device.is_cuda()) throw no_device(wanted);
  } catch (const c10::Error &) {
  }
  throw ModelError("device is '" + wanted + "'; expected cpu, cuda or cuda:N");
}

// One GPU of those of this computer for each of its ranks in turn, unless a device is named.
c10::Device choose_device(const ModelOptions &options) {
  const char *variable = std::getenv("VITREOUS_DEVICE");
  const std::string wanted = !options.device.empty() ? options.device : variable ? variable : "";
  const bool has_cuda = torch::cuda::is_available();
  if (wanted == "cpu" || (wanted.empty() && !has_cuda)) return c10::Device(c10::kCPU);
  if (!wanted.empty() && wanted != "cuda") return named_device(wanted, has_cuda);
  if (!has_cuda) throw no_device(wanted);
  const auto count = static_cast<int>(torch::cuda::device_count());
  return c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(options.local_rank % count));
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

// Ranks of one computer would each take all of its cores.
void share_cores(int ranks) {
  if (ranks > 1 && !std::getenv("OMP_NUM_THREADS")) at::set_num_threads(std::max(1, at::get_num_threads() / ranks));
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
  TorchModel(const ModelOptions &options, c10::Device device);
  const Metadata &metadata() const override { return metadata_; }
  std::string describe_device() const override { return describe(device_) + ", " + kernels_; }
  Prediction evaluate(const Graph &graph, const Request &request) override;

 private:
  c10::Device device_;
  Metadata metadata_;
  torch::jit::Module module_;
  std::string kernels_ = "plain TorchScript";
  bool separate_ = false;

  bool take_kernels(const std::string &with_kernels, const ModelOptions &options);
  void separate_edges(bool wanted);
  void require_for_ranks(const std::string &for_ranks, const std::string &path) const;
  void take_exchanging(const std::string &for_ranks, const std::string &path);
};

TorchModel::TorchModel(const ModelOptions &options, c10::Device device) : device_(device) {
  const std::string &path = options.path;
  torch::jit::ExtraFilesMap entries{{kWithKernels, ""}, {kForRanks, ""}};
  for (const char *entry : kEntries) entries[entry] = "";
  try {
    module_ = torch::jit::load(path, device, entries);
  } catch (const std::exception &error) {
    throw ModelError("cannot read model file '" + path + "', it is damaged or no TorchScript file (" +
                     one_line(error) + "); copy it again or deploy the potential again");
  }
  metadata_ = parse_metadata(entries, path);
  const bool exchanging = options.exchanging && metadata_.exchanged_bytes != 0;
  if (exchanging) require_for_ranks(entries[kForRanks], path);
  if (!take_kernels(entries[kWithKernels], options) && exchanging) take_exchanging(entries[kForRanks], path);
  module_.eval();
  // Forces are derivatives by positions only; weights that ask for gradients would cost memory and time.
  for (at::Tensor weight : module_.parameters()) weight.set_requires_grad(false);
  at::globalContext().setAllowTF32CuBLAS(metadata_.allow_tf32);
  at::globalContext().setAllowTF32CuDNN(metadata_.allow_tf32);
}

// Runs the model on the compiled kernels in its file where that works and nobody forbids it; whether it does.
bool TorchModel::take_kernels(const std::string &with_kernels, const ModelOptions &options) {
  const KernelChoice choice = chosen_kernel(options.kernel);
  if (choice == KernelChoice::reference || (choice == KernelChoice::automatic && !device_.is_cpu())) return false;
  if (!device_.is_cpu()) throw ModelError("kernel is cpp, which runs on CPUs; set the device to cpu");
  try {
    auto found = load_with_kernels(with_kernels);
    module_ = std::move(found.module);
    kernels_ = "compiled kernels for " + found.target;
    return true;
  } catch (const ModelError &reason) {
    if (choice == KernelChoice::cpp) throw ModelError(options.path + ": " + reason.what());
    kernels_ += std::string(", slow: ") + reason.what();
    return false;
  }
}

void TorchModel::require_for_ranks(const std::string &for_ranks, const std::string &path) const {
  if (metadata_.exchanged_bytes < 0 || for_ranks.empty())
    throw ModelError(path + " runs in one process: it holds no model for several MPI ranks; start one rank, or deploy "
                            "the potential by mlip deploy where a compiler is");
}

// Takes the model that fetches features of other ranks' atoms.
void TorchModel::take_exchanging(const std::string &for_ranks, const std::string &path) {
  load_operators();
  try {
    std::istringstream stream(for_ranks);
    module_ = torch::jit::load(stream, device_);
  } catch (const std::exception &error) {
    throw ModelError(path + ": " + one_line(error) + "; deploy the potential again");
  }
}

// An edge and its reverse share their radial weights, which depend on the length alone, and so the gradients of
// both: whose is whose, they tell only when each has its own.
void TorchModel::separate_edges(bool wanted) {
  if (separate_ == wanted) return;
  for (torch::jit::Module part : module_.modules()) {
    if (part.hasattr("share")) part.setattr("share", !wanted && part.attr("may_share").toBool());
  }
  separate_ = wanted;
}

Prediction TorchModel::evaluate(const Graph &graph, const Request &request) {
  separate_edges(request.edge_gradient);
  // The profiling executor pays where it fuses, on GPUs; on CPUs it took 1.7 times as long (3-layer NequIP).
  const ProfilingMode mode(!device_.is_cpu());
  // Models differentiate inside; a Python caller may have switched gradients off in this thread.
  const c10::AutoGradMode gradients(true);
  const Partnership partnership(request.exchanger);
  return evaluate_by(graph, device_, request, [this](const Tensors &tensors) {
    c10::Dict<std::string, at::Tensor> input;
    for (const auto &[name, tensor] : tensors) {
      if (metadata_.ours || name != "num_local") input.insert(name, tensor);
    }
    Tensors output;
    for (const auto &entry : module_.forward({input}).toGenericDict())
      output.emplace(entry.key().toStringRef(), entry.value().toTensor());
    return output;
  });
}

}  // namespace
}  // namespace vitreous

extern "C" vitreous::Model *vitreous_load_model(const vitreous::ModelOptions &options) {
  using namespace vitreous;
  check_file(options.path);
  share_cores(options.ranks_of_node);
  const c10::Device device = choose_device(options);
  if (ends_with(options.path, kPackage)) return load_package(options, device).release();
  return new TorchModel(options, device);
}
