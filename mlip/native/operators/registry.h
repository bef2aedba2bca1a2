// The generated kernels that this process has loaded, by name.
#pragma once

#include <c10/util/Exception.h>

#include <string>

namespace vitreous {

// The kernel of that name, or null.
const void* find_symbol(const std::string& name);

// The kernel of that name, for numbers of type T.
template <template <class> class Kernel, class T>
const Kernel<T>& find_kernel(const std::string& name) {
  const void* symbol = find_symbol(name);
  TORCH_CHECK(symbol, "the kernel ", name, " is not loaded");
  const auto& kernel = *static_cast<const Kernel<T>*>(symbol);
  TORCH_CHECK(kernel.number_bytes == sizeof(T), "found numbers of ", sizeof(T), " bytes; expected ",
              kernel.number_bytes, " for the kernel ", name);
  return kernel;
}

}  // namespace vitreous
