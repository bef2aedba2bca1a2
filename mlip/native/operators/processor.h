// Which instruction sets the kernels of this process may use.
#pragma once

#include <string>
#include <vector>

namespace vitreous {

// The targets of the compiler that this processor runs, the fastest first; VITREOUS_CPU picks one of them.
std::vector<std::string> cpu_targets();

}  // namespace vitreous
