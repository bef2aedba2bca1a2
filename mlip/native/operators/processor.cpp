// The instruction sets of this processor, by the names that compilers have for them.
#include "processor.h"

#include <torch/library.h>

#include <algorithm>
#include <cstdlib>

namespace vitreous {
namespace {

std::vector<std::string> supported() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool v2 = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
  const bool v3 = v2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                  __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl");
  std::vector<std::string> targets;
  if (v4) targets.push_back("x86-64-v4");
  if (v3) targets.push_back("x86-64-v3");
  if (v2) targets.push_back("x86-64-v2");
  targets.push_back("x86-64");
  return targets;
#elif defined(__aarch64__)
  return {"aarch64"};
#else
  return {"unknown"};
#endif
}

TORCH_LIBRARY_FRAGMENT(vitreous, library) { library.def("cpu_targets() -> str[]", &cpu_targets); }

}  // namespace

std::vector<std::string> cpu_targets() {
  const auto targets = supported();
  const char* wanted = std::getenv("VITREOUS_CPU");
  if (!wanted || !*wanted) return targets;
  TORCH_CHECK(std::count(targets.begin(), targets.end(), wanted), "found VITREOUS_CPU=", wanted,
              "; expected one of ", c10::Join(", ", targets), ", which this processor runs");
  return {wanted};
}

}  // namespace vitreous
