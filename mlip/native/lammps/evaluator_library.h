// Loads the library that evaluates models, and torch with it, when the first model is asked for.
#pragma once

#include "model.h"

#include <memory>

namespace vitreous {

// Throws ModelError: the library or the model file cannot be loaded.
std::unique_ptr<Model> load_model(const ModelOptions &options);

}  // namespace vitreous
