// What ranks tell each other when one of them cannot go on: all of them end, and one line says why.
#pragma once

#include <mpi.h>

#include <string>

namespace vitreous {

// Why a rank cannot go on. Of several ranks' problems the one of least weight is told: one that may be the consequence
// of another weighs more.
struct Problem {
  std::string text;  // empty: it can
  double weight = 0.0;

  bool found() const { return !text.empty(); }
};

// Whether all ranks are well; they must all ask.
bool all_well(bool mine, MPI_Comm world);

// The text of the problem to tell, on all ranks; they must all ask. Empty if nobody has one.
std::string problem_to_tell(const Problem &mine, MPI_Comm world);

}  // namespace vitreous
