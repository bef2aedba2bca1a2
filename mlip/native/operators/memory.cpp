// How the process that loads our operators keeps its memory.
#include <cstdlib>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace vitreous {
namespace {

// What one step has freed serves the next. Large tensors would go back to the system, to be mapped and cleared page
// by page again, which takes as long as all arithmetic of 10,000 atoms. Who sets glibc's variables decides himself.
[[maybe_unused]] const bool memory_is_kept = [] {
#ifdef __GLIBC__
  if (std::getenv("MALLOC_MMAP_THRESHOLD_") || std::getenv("MALLOC_TRIM_THRESHOLD_")) return false;
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, -1);
  mallopt(M_TOP_PAD, 64 << 20);
  return true;
#else
  return false;
#endif
}();

}  // namespace
}  // namespace vitreous
