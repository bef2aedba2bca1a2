// The generated kernels that this process has loaded, by name.
#pragma once

#include <c10/util/Exception.h>

#include <string>

namespace vitreous {

// The kernel of that name, or null.
const void* find_symbol(const std::string& name);

template <class Kernel>
const Kernel& find_kernel(const std::string& name) {
  const void* symbol = find_symbol(name);
  TORCH_CHECK(symbol, "the kernel ", name, " is not loaded");
  return *static_cast<const Kernel*>(symbol);
}

}  // namespace vitreous
