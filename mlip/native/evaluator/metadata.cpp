#include "metadata.h"

#include <algorithm>
#include <sstream>

namespace vitreous {
namespace {

using Entries = std::unordered_map<std::string, std::string>;

[[noreturn]] void reject(const std::string &path, const std::string &found) {
  throw ModelError(path + ": " + found +
                   "; expected a model file with r_max, num_types, type_names, allow_tf32: deploy the "
                   "potential again (mlip deploy target=[lammps])");
}

const std::string &require(const Entries &entries, const std::string &key, const std::string &path) {
  const auto entry = entries.find(key);
  if (entry == entries.end() || entry->second.empty()) reject(path, "no '" + key + "' in its metadata");
  return entry->second;
}

std::string optional(const Entries &entries, const std::string &key) {
  const auto entry = entries.find(key);
  return entry == entries.end() ? std::string() : entry->second;
}

double read_number(const std::string &text, const std::string &key, const std::string &path) {
  try {
    return std::stod(text);
  } catch (const std::logic_error &) {
    reject(path, "metadata '" + key + "' is '" + text + "', not a number");
  }
}

std::vector<std::string> split_words(const std::string &text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

std::vector<double> read_pair_cutoffs(const Entries &entries, const Metadata &metadata,
                                      const std::string &path) {
  const std::string key = "per_edge_type_cutoff";
  std::vector<double> cutoffs;
  const auto entry = entries.find(key);
  if (entry == entries.end() || entry->second.empty()) return cutoffs;
  for (const auto &word : split_words(entry->second)) cutoffs.push_back(read_number(word, key, path));
  const std::size_t num_types = metadata.type_names.size();
  if (cutoffs.size() != num_types * num_types)
    reject(path, "'" + key + "' has " + std::to_string(cutoffs.size()) + " numbers for " +
                     std::to_string(num_types) + " types");
  if (*std::max_element(cutoffs.begin(), cutoffs.end()) > metadata.r_max)
    reject(path, "'" + key + "' has a cutoff beyond r_max");
  return cutoffs;
}

}  // namespace

Metadata parse_metadata(const Entries &entries, const std::string &path) {
  Metadata metadata;
  metadata.r_max = read_number(require(entries, "r_max", path), "r_max", path);
  if (!(metadata.r_max > 0.0)) reject(path, "r_max is not positive");
  metadata.allow_tf32 = require(entries, "allow_tf32", path) == "1";
  metadata.type_names = split_words(require(entries, "type_names", path));
  const double num_types = read_number(require(entries, "num_types", path), "num_types", path);
  if (num_types != static_cast<double>(metadata.type_names.size()))
    reject(path, "num_types does not match its type_names");
  metadata.pair_cutoffs = read_pair_cutoffs(entries, metadata, path);
  metadata.ours = !optional(entries, "vitreous_format").empty();
  metadata.dtype = optional(entries, "model_dtype");
  if (const auto layers = optional(entries, "vitreous_layers"); !layers.empty())
    metadata.layers = static_cast<int>(read_number(layers, "vitreous_layers", path));
  if (const auto bytes = optional(entries, "vitreous_exchanged_bytes"); !bytes.empty())
    metadata.exchanged_bytes = static_cast<long>(read_number(bytes, "vitreous_exchanged_bytes", path));
  return metadata;
}

}  // namespace vitreous
