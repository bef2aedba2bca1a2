// Loading of generated kernels: libraries that know nothing of torch.
#include "registry.h"

#include <ATen/core/Dict.h>
#include <ATen/core/Tensor.h>
#include <dlfcn.h>
#include <torch/library.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <string_view>
#include <unordered_map>

#include "processor.h"

namespace vitreous {
namespace {

struct Loaded {
  const void* kernel;
  std::size_t content;  // hash of the library's bytes where they came from a deployed file, else 0
};

std::mutex loaded_mutex;
std::unordered_map<std::string, Loaded> loaded;

const void* open_library(const std::string& library, const std::string& name) {
  void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  TORCH_CHECK(handle, "cannot load ", library, ": ", dlerror());
  const void* symbol = dlsym(handle, name.c_str());
  TORCH_CHECK(symbol, "found no ", name, " in ", library);
  return symbol;
}

void load_kernel(const std::string& library, const std::string& name) {
  const void* kernel = open_library(library, name);
  std::lock_guard<std::mutex> guard(loaded_mutex);
  loaded[name] = {kernel, 0};
}

// A file that is gone as soon as its content is mapped.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::string_view content)
      : path_(std::filesystem::temp_directory_path() / "vitreous-kernel-XXXXXX") {
    const int file = mkstemp(path_.data());
    TORCH_CHECK(file >= 0, "cannot write ", path_, ": ", std::strerror(errno), "; set TMPDIR to a folder that you may "
                "write");
    close(file);
    std::ofstream stream(path_, std::ios::binary);
    stream.write(content.data(), static_cast<std::streamsize>(content.size()));
  }
  ~TemporaryFile() { unlink(path_.c_str()); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

void load_bytes(const std::string& name, const at::Tensor& library) {
  const auto bytes = library.contiguous();
  const std::string_view content(static_cast<const char*>(bytes.const_data_ptr()), bytes.nbytes());
  const auto hash = std::hash<std::string_view>()(content);
  std::lock_guard<std::mutex> guard(loaded_mutex);
  const auto found = loaded.find(name);
  if (found != loaded.end() && found->second.content == hash) return;
  loaded[name] = {open_library(TemporaryFile(content).path(), name), hash};
}

using Libraries = c10::Dict<std::string, at::Tensor>;

// Loads the kernels of a deployed file, given as the bytes of a library each, by target and name, and returns the
// fastest target that this processor runs.
std::string load_kernels(const std::string& interface, const c10::Dict<std::string, Libraries>& of_targets) {
  TORCH_CHECK(interface == VITREOUS_INTERFACE, "found kernels of another version of vitreous in the file; expected "
              "those of this one; deploy the potential again");
  for (const auto& target : cpu_targets()) {
    const auto found = of_targets.find(target);
    if (found == of_targets.end()) continue;
    for (const auto& library : found->value()) load_bytes(library.key(), library.value());
    return target;
  }
  TORCH_CHECK(false, "found no kernels for this processor in the file; expected some for ",
              c10::Join(" or ", cpu_targets()), "; deploy the potential on such a machine");
}

TORCH_LIBRARY_FRAGMENT(vitreous, library) {
  library.def("load_kernel(str library, str name) -> ()", &load_kernel);
  library.def("load_kernels(str interface, Dict(str, Dict(str, Tensor)) libraries) -> str", &load_kernels);
}

}  // namespace

const void* find_symbol(const std::string& name) {
  std::lock_guard<std::mutex> guard(loaded_mutex);
  const auto found = loaded.find(name);
  return found == loaded.end() ? nullptr : found->second.kernel;
}

}  // namespace vitreous
