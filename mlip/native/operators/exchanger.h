// What joins the processes that share a structure. Knows neither LAMMPS nor torch.
#pragma once

#include <cstdint>

namespace vitreous {

// Rows of numbers of a graph's atoms; the first ones are this process's own, the others are known elsewhere.
class Exchanger {
 public:
  virtual ~Exchanger() = default;
  // Whether the rows have to lie in the memory of the model's device, else of the host.
  virtual bool on_device() const { return false; }
  // Overwrites the rows of others' atoms by those of their owners.
  virtual void forward(float* rows, std::int64_t width) = 0;
  virtual void forward(double* rows, std::int64_t width) = 0;
  // Adds the rows of others' atoms to those of their owners; then they are zeros.
  virtual void reverse(float* rows, std::int64_t width) = 0;
  virtual void reverse(double* rows, std::int64_t width) = 0;
};

// Name and type of the function by which the library of operators learns of it; null: this process has all atoms.
inline constexpr const char* kSetExchanger = "vitreous_set_exchanger";
using SetExchanger = void(Exchanger*);

}  // namespace vitreous
