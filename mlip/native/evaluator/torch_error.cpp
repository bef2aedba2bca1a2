#include "torch_error.h"

#include <c10/util/Exception.h>
#include <sstream>

namespace vitreous {

std::string one_line(const std::exception &error) {
  const auto *torch_error = dynamic_cast<const c10::Error *>(&error);
  std::istringstream text(torch_error ? torch_error->what_without_backtrace() : error.what());
  std::string first, line, cause;
  while (std::getline(text, line)) {
    if (first.empty()) first = line;
    if (line.find("Error: ") != std::string::npos) cause = line;
  }
  return cause.empty() ? first : cause;
}

bool is_out_of_memory(const std::exception &error) {
  // What a TorchScript program or an operator throws arrives as a std::runtime_error: its text alone tells.
  const std::string text = error.what();
  for (const char *words : {"can't allocate memory", "bad_alloc", "out of memory"})
    if (text.find(words) != std::string::npos) return true;
  return false;
}

}  // namespace vitreous
