// What a deployed file says about itself beside the network: cutoffs and types.
#pragma once

#include <algorithm>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

namespace vitreous {

// A model file that cannot be used, or a model that failed; the message is one line for the user.
struct ModelError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Metadata {
  double r_max = 0.0;                   // A
  bool allow_tf32 = false;
  std::vector<std::string> type_names;  // (T,)
  std::vector<double> pair_cutoffs;     // (T, T) row-major [centre][neighbour], A; empty: r_max everywhere
  std::string dtype;                    // float32 or float64; empty if nobody knows
  int layers = 0;                       // rounds of messages that an atom's energy depends on; 0 if nobody knows
  bool ours = false;                    // else of nequip's export, which says nothing of what follows
  // Bytes of an atom's largest row of features that another process needs: 0 if the model is strictly local,
  // -1 if nobody knows.
  long exchanged_bytes = -1;

  double cutoff(std::size_t center_type, std::size_t neighbor_type) const {
    if (pair_cutoffs.empty()) return r_max;
    return pair_cutoffs[center_type * type_names.size() + neighbor_type];
  }

  // The model's number of a type name, -1 if it has none of that name.
  int find_type(const std::string &name) const {
    const auto found = std::find(type_names.begin(), type_names.end(), name);
    return found == type_names.end() ? -1 : static_cast<int>(found - type_names.begin());
  }
};

// Metadata as stored in the file, all strings. Throws ModelError for what is missing or contradictory.
Metadata parse_metadata(const std::unordered_map<std::string, std::string> &entries,
                        const std::string &path);

}  // namespace vitreous
