#include "evaluator_library.h"

#include <dlfcn.h>

namespace vitreous {

std::unique_ptr<Model> load_model(const ModelOptions &options) {
  // Never closed again: torch does not survive being unloaded.
  void *library = dlopen(VITREOUS_EVALUATOR, RTLD_NOW | RTLD_LOCAL);
  void *function = library ? dlsym(library, kLoadModel) : nullptr;
  if (!function)
    throw ModelError(std::string("cannot load torch for the pair style (") + dlerror() +
                     "); was torch or the plugin moved? run 'mlip lammps build', or build it again by cmake");
  return std::unique_ptr<Model>(reinterpret_cast<LoadModel *>(function)(options));
}

}  // namespace vitreous
