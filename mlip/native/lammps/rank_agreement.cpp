#include "rank_agreement.h"

#include <limits>

namespace vitreous {

bool all_well(bool mine, MPI_Comm world) {
  int well = mine;
  MPI_Allreduce(MPI_IN_PLACE, &well, 1, MPI_INT, MPI_MIN, world);
  return well != 0;
}

std::string problem_to_tell(const Problem &mine, MPI_Comm world) {
  struct {
    double weight;
    int rank;
  } least{mine.found() ? mine.weight : std::numeric_limits<double>::infinity(), 0};
  MPI_Comm_rank(world, &least.rank);
  const int rank = least.rank;
  MPI_Allreduce(MPI_IN_PLACE, &least, 1, MPI_DOUBLE_INT, MPI_MINLOC, world);
  int length = static_cast<int>(mine.text.size());
  MPI_Bcast(&length, 1, MPI_INT, least.rank, world);
  std::string text = rank == least.rank ? mine.text : std::string(length, ' ');
  MPI_Bcast(text.data(), length, MPI_CHAR, least.rank, world);
  return text;
}

}  // namespace vitreous
