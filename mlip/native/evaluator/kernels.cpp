#include "kernels.h"

#include "torch_error.h"

#include <cstdlib>
#include <dlfcn.h>
#include <sstream>
#include <torch/csrc/jit/serialization/import.h>

namespace vitreous {
namespace {

// The library that `kernel=cpp` of Python loads, too: operators can be registered once in a process.
void *open_operators() {
  void *library = dlopen(VITREOUS_OPERATORS, RTLD_NOW | RTLD_LOCAL);
  if (!library)
    throw ModelError(std::string("cannot load the compiled operators (") + dlerror() + "); run 'mlip lammps build'");
  return library;
}

void set_exchanger(Exchanger *partner) {
  static const auto function = reinterpret_cast<SetExchanger *>(dlsym(open_operators(), kSetExchanger));
  function(partner);
}

}  // namespace

void load_operators() { open_operators(); }

Partnership::Partnership(Exchanger *partner) : told_(partner != nullptr) {
  if (told_) set_exchanger(partner);
}

Partnership::~Partnership() {
  if (told_) set_exchanger(nullptr);
}

KernelChoice chosen_kernel(const std::string &word) {
  const char *variable = std::getenv("VITREOUS_KERNEL");
  const std::string wanted = !word.empty() ? word : variable ? variable : "";
  if (wanted.empty() || wanted == "auto") return KernelChoice::automatic;
  if (wanted == "reference") return KernelChoice::reference;
  if (wanted == "cpp") return KernelChoice::cpp;
  throw ModelError("kernel is '" + wanted + "'; expected auto, reference or cpp");
}

ModelWithKernels load_with_kernels(const std::string &content) {
  if (content.empty()) throw ModelError("the file carries no compiled kernels");
  load_operators();
  try {
    std::istringstream stream(content);
    auto module = torch::jit::load(stream, c10::Device(c10::kCPU));
    auto target = module.run_method("load_kernels").toStringRef();
    return {std::move(module), std::move(target)};
  } catch (const std::exception &error) {
    throw ModelError(one_line(error));
  }
}

}  // namespace vitreous
