#include "package_model.h"

#include "evaluation.h"
#include "kernels.h"
#include "torch_error.h"

#include <ATen/Context.h>
#include <ATen/cpu/Utils.h>
#include <algorithm>
#include <c10/core/GradMode.h>
#include <caffe2/serialize/inline_container.h>
#include <sstream>
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>
#include <torch/headeronly/version.h>

namespace vitreous {
namespace {

using torch::inductor::AOTIModelPackageLoader;
using Entries = std::unordered_map<std::string, std::string>;

std::vector<std::string> names_in(const Entries &entries, const std::string &key, const std::string &otherwise) {
  const auto entry = entries.find(key);
  std::istringstream stream(entry == entries.end() ? otherwise : entry->second);
  std::vector<std::string> names;
  for (std::string name; stream >> name;) names.push_back(name);
  return names;
}

void require(const Entries &entries, const std::string &key, const std::string &here, const std::string &path) {
  const auto entry = entries.find(key);
  if (entry != entries.end() && entry->second != here)
    throw ModelError(path + " was compiled for " + entry->second + ", here is " + here +
                     "; deploy the potential again");
}

bool has_avx512() {
  const auto capabilities = at::cpu::get_cpu_capabilities();
  const auto found = capabilities.find("avx512_f");
  return found != capabilities.end() && found->second.toBool();
}

// What the file says about itself; nothing of it is run.
Entries read_entries(const std::string &path, c10::Device device) {
  Entries entries;
  try {
    entries = AOTIModelPackageLoader::load_metadata_from_package(path, "model");
  } catch (const std::exception &error) {
    throw ModelError("cannot read model file '" + path + "', it is damaged or no AOTInductor file (" +
                     one_line(error) + "); copy it again or deploy the potential again");
  }
  require(entries, "torch_version", TORCH_VERSION, path);
  require(entries, "AOTI_DEVICE_KEY", device.is_cpu() ? "cpu" : "cuda", path);
  const auto instructions = entries.find("AOTI_CPU_ISA");
  if (instructions != entries.end() && instructions->second.find("AVX512") == 0 && !has_avx512())
    throw ModelError(path + " was compiled for " + instructions->second +
                     ", which this processor has not; deploy the potential on this machine");
  return entries;
}

// Loads the operators and kernels that the program in the file calls; what they are compiled for.
std::string load_kernels(const ModelOptions &options, const Entries &entries) {
  const std::string &path = options.path;
  const auto kernels = entries.find("vitreous_kernels");
  const KernelChoice unwanted = kernels == entries.end() ? KernelChoice::cpp : KernelChoice::reference;
  if (chosen_kernel(options.kernel) == unwanted)
    throw ModelError(path + " was deployed with another kernel than is asked for; leave kernel and VITREOUS_KERNEL "
                            "out, or deploy the potential with that kernel");
  if (kernels == entries.end()) return "plain AOTInductor";
  try {
    caffe2::serialize::PyTorchStreamReader archive(path);
    const auto [content, size] = archive.getRecord(kernels->second);
    const auto found = load_with_kernels({static_cast<const char *>(content.get()), size});
    return "compiled kernels for " + found.target;
  } catch (const std::exception &error) {
    throw ModelError("cannot use the compiled kernels in " + path + ": " + one_line(error) +
                     "; deploy the potential again");
  }
}

class PackageModel : public Model {
 public:
  PackageModel(const ModelOptions &options, c10::Device device);
  const Metadata &metadata() const override { return metadata_; }
  std::string describe_device() const override { return describe(device_) + ", " + kernels_; }
  Prediction evaluate(const Graph &graph, const Request &request) override;

 private:
  c10::Device device_;
  Metadata metadata_;
  std::string kernels_;
  std::vector<std::string> inputs_, outputs_;
  std::unique_ptr<AOTIModelPackageLoader> loader_;
};

PackageModel::PackageModel(const ModelOptions &options, c10::Device device) : device_(device) {
  const std::string &path = options.path;
  const Entries entries = read_entries(path, device);
  metadata_ = parse_metadata(entries, path);
  inputs_ = names_in(entries, "nequip_aoti_inputs", "pos edge_index atom_types cell edge_cell_shift");
  // Only strictly local models can do without the lattice: nequip's, compiled for pair_allegro.
  if (!metadata_.ours && std::find(inputs_.begin(), inputs_.end(), "edge_cell_shift") == inputs_.end())
    metadata_.exchanged_bytes = 0;
  if (options.exchanging && metadata_.exchanged_bytes != 0)
    throw ModelError(path + " runs in one process; start one MPI rank, or deploy with format=torchscript");
  outputs_ = names_in(entries, "vitreous_outputs", "");
  if (outputs_.empty()) outputs_ = names_in(entries, "nequip_aoti_outputs", "atomic_energy forces virial");
  kernels_ = load_kernels(options, entries);
  try {
    loader_ = std::make_unique<AOTIModelPackageLoader>(path, "model", false, 1, device.is_cpu() ? -1 : device.index());
  } catch (const std::exception &error) {
    throw ModelError("cannot load model file '" + path + "' (" + one_line(error) + "); deploy the potential again");
  }
  at::globalContext().setAllowTF32CuBLAS(metadata_.allow_tf32);
  at::globalContext().setAllowTF32CuDNN(metadata_.allow_tf32);
}

Prediction PackageModel::evaluate(const Graph &graph, const Request &request) {
  // The program counts the energies of all atoms, those of ghosts, too: harmless in a strictly local model alone.
  if (graph.num_local < graph.num_atoms && metadata_.exchanged_bytes != 0)
    throw ModelError("the energies of ghosts cannot be left out in a message-passing .nequip.pt2: write pair_style nequip "
                     "and start one rank, or deploy with format=torchscript (an Allegro of nequip: nequip-compile "
                     "--target pair_allegro)");
  const c10::NoGradGuard no_gradients;  // the compiled program holds them
  return evaluate_by(graph, device_, request, [this](const Tensors &tensors) {
    std::vector<at::Tensor> inputs;
    for (const auto &name : inputs_) {
      const auto tensor = tensors.find(name);
      if (tensor == tensors.end()) throw ModelError("the model asks for '" + name + "', which the pair style has not");
      inputs.push_back(tensor->second);
    }
    const auto values = loader_->run(inputs);
    Tensors outputs;
    for (std::size_t k = 0; k < std::min(values.size(), outputs_.size()); k++) outputs[outputs_[k]] = values[k];
    return outputs;
  });
}

}  // namespace

std::unique_ptr<Model> load_package(const ModelOptions &options, c10::Device device) {
  return std::make_unique<PackageModel>(options, device);
}

}  // namespace vitreous
