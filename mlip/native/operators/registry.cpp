// Loading of generated kernels: libraries that know nothing of torch.
#include "registry.h"

#include <dlfcn.h>
#include <torch/library.h>

#include <mutex>
#include <unordered_map>

namespace vitreous {
namespace {

std::mutex kernels_mutex;
std::unordered_map<std::string, const void*> kernels;

void load_kernel(const std::string& library, const std::string& name) {
  void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  TORCH_CHECK(handle, "cannot load ", library, ": ", dlerror());
  const void* symbol = dlsym(handle, name.c_str());
  TORCH_CHECK(symbol, "found no ", name, " in ", library);
  std::lock_guard<std::mutex> guard(kernels_mutex);
  kernels[name] = symbol;
}

TORCH_LIBRARY_FRAGMENT(vitreous, library) {
  library.def("load_kernel(str library, str name) -> ()", &load_kernel);
}

}  // namespace

const void* find_symbol(const std::string& name) {
  std::lock_guard<std::mutex> guard(kernels_mutex);
  const auto found = kernels.find(name);
  return found == kernels.end() ? nullptr : found->second;
}

}  // namespace vitreous
