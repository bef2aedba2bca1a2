// Torch's many-line exceptions as one line.
#pragma once

#include <exception>
#include <string>

namespace vitreous {

// The line that names the cause: a TorchScript traceback ends with it, a c10::Error begins with it.
std::string one_line(const std::exception &error);

// Whether memory, of the processor or of a GPU, did not suffice.
bool is_out_of_memory(const std::exception &error);

}  // namespace vitreous
