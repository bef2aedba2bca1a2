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

// Every rank must ask for the same exchanges in the same order, also one without atoms, and one that has failed.
class RankExchange : public Exchanger {
 public:
  // Between the ghosts of these atoms, by `comm`, which calls the pair style's pack and unpack functions. LAMMPS's
  // own pointers, for commands like replicate and comm_style put others in their place.
  RankExchange(LAMMPS_NS::Pair &pair, LAMMPS_NS::Comm *const &comm, LAMMPS_NS::Atom *const &atom);

  // How often a model exchanges features each way, and the bytes of its largest row: all take as many messages.
  void expect(int each_way, long row_bytes);

  // A new step. Rows will be those of the graph with this atom_of, as in RankGraph.
  void begin(const std::vector<int> &atom_of);

  // For a rank whose model has failed in this step: what the others still wait for, with nothing in it.
  void finish_absent();

  void forward(float *rows, std::int64_t width) override;
  void forward(double *rows, std::int64_t width) override;
  void reverse(float *rows, std::int64_t width) override;
  void reverse(double *rows, std::int64_t width) override;

  // As reverse, beside the exchanges of the model.
  virtual void add_to_owners(double *rows, int width);

  // What the pair style's functions of the same names do.
  virtual int pack_forward(int count, const int *atoms, double *to);
  virtual void unpack_forward(int count, int first, const double *from);
  virtual int pack_reverse(int count, int first, double *to);
  virtual void unpack_reverse(int count, const int *atoms, const double *from);

 protected:
  LAMMPS_NS::Atom *const &atom_;
  bool absent_ = false;
  // A row for each local atom and ghost, for LAMMPS hands ghosts on from rank to rank; floats lie two in a double.
  double *rows_ = nullptr;
  int row_ = 0;                    // doubles of a row,
  int first_ = 0, part_ = 0;       // and of those that LAMMPS takes in one go
  bool single_ = false;            // whether they are floats

  // Sets how long rows are; returns the doubles of all.
  std::size_t measure(std::int64_t width, bool single);
  // An exchange of the model's.
  void pass_forward();
  void pass_reverse();
  // Another, of rows of this width.
  void pass_to_owners(int width);

 private:
  LAMMPS_NS::Pair &pair_;
  LAMMPS_NS::Comm *const &comm_;
  int each_way_ = 0, parts_ = 0;
  int forward_left_ = 0, reverse_left_ = 0;  // of this step
  const std::vector<int> *atom_of_ = nullptr;
  std::vector<double> memory_;

  template <class Real>
  void prepare(std::int64_t width);
  template <class Real>
  void fetch(Real *rows, std::int64_t width);
  template <class Real, class Pass>
  void give_back(Real *rows, std::int64_t width, Pass pass);
  template <class Exchange>
  void in_parts(int parts, Exchange exchange);
  void forward_part(int width);
  void reverse_part(int width);
  double *row_of(int atom) { return rows_ + static_cast<std::size_t>(atom) * row_; }
  const double *part_of(int atom) { return row_of(atom) + first_; }
};

}  // namespace vitreous
