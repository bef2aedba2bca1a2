// Rows of numbers of a rank's graph, exchanged by LAMMPS's communication between atoms and their ghosts.
#pragma once

#include "exchanger.h"

#include <vector>

namespace LAMMPS_NS {
class Atom;
class Comm;
class Pair;
}  // namespace LAMMPS_NS

namespace vitreous {

// Doubles of an atom that LAMMPS exchanges in one go: its buffers are sized before it knows the model.
inline constexpr int kExchangeWidth = 128;

// Every rank must ask for the same exchanges in the same order, also one without atoms.
class RankExchange : public Exchanger {
 public:
  // Between the ghosts of these atoms, by `comm`, which calls the pair style's pack and unpack functions.
  RankExchange(LAMMPS_NS::Pair &pair, LAMMPS_NS::Comm &comm, const LAMMPS_NS::Atom &atom);

  // The graph whose rows are exchanged next; atom_of as in RankGraph.
  void set_graph(const std::vector<int> &atom_of) { atom_of_ = &atom_of; }

  void forward(float *rows, std::int64_t width) override;
  void forward(double *rows, std::int64_t width) override;
  void reverse(float *rows, std::int64_t width) override;
  void reverse(double *rows, std::int64_t width) override;

  // What the pair style's functions of the same names do.
  virtual int pack_forward(int count, const int *atoms, double *to);
  virtual void unpack_forward(int count, int first, const double *from);
  virtual int pack_reverse(int count, int first, double *to);
  virtual void unpack_reverse(int count, const int *atoms, const double *from);

 protected:
  LAMMPS_NS::Pair &pair_;
  LAMMPS_NS::Comm &comm_;
  const LAMMPS_NS::Atom &atom_;
  // A row for each local atom and ghost, for LAMMPS hands ghosts on from rank to rank; floats lie two in a double.
  double *rows_ = nullptr;
  int row_ = 0;                    // doubles of a row,
  int first_ = 0, part_ = 0;       // and of those that LAMMPS takes in one go
  bool single_ = false;            // whether they are floats

  // Sets how long rows are; the doubles of all of them.
  template <class Real>
  std::size_t measure(std::int64_t width) {
    row_ = static_cast<int>((width * sizeof(Real) + sizeof(double) - 1) / sizeof(double));
    single_ = sizeof(Real) < sizeof(double);
    return count_atoms() * row_;
  }
  void forward_parts();
  void reverse_parts();

 private:
  const std::vector<int> *atom_of_ = nullptr;
  std::vector<double> memory_;

  template <class Real>
  void prepare(std::int64_t width);
  template <class Real>
  void fetch(Real *rows, std::int64_t width);
  template <class Real>
  void give_back(Real *rows, std::int64_t width);
  std::size_t count_atoms() const;  // with ghosts
  double *row_of(int atom) { return rows_ + static_cast<std::size_t>(atom) * row_; }
  const double *part_of(int atom) { return row_of(atom) + first_; }
};

}  // namespace vitreous
