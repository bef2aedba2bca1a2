// Models compiled ahead of time by AOTInductor: `.nequip.pt2`.
#pragma once

#include "model.h"

#include <c10/core/Device.h>
#include <memory>
#include <string>

namespace vitreous {

// Throws ModelError for a file that cannot be used here.
std::unique_ptr<Model> load_package(const ModelOptions &options, c10::Device device);

}  // namespace vitreous
