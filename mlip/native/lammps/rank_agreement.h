// What ranks tell each other when one of them cannot go on: all of them end, and one line says why.
#pragma once

#include <mpi.h>

#include <limits>
#include <string>

namespace vitreous {

// Why a rank cannot go on. Of several ranks' problems the one of least weight is told.
struct Problem {
  std::string text;  // empty: it can
  double weight = std::numeric_limits<double>::max();

  bool found() const { return !text.empty(); }
};

// Whether all ranks are well. Each asks before each exchange of a step, for the others would wait for a rank that
// has failed, and once at the end; a rank that is not well, or hears of one, asks no more in this step.
bool all_well(bool mine, MPI_Comm world);

// The text of the problem to tell, on all ranks; they must all ask. Empty if nobody has one.
std::string problem_to_tell(const Problem &mine, MPI_Comm world);

}  // namespace vitreous
