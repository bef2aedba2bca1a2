#include "compute_grade.h"

#include "pair_model.h"

#include <algorithm>
#include <atom.h>
#include <error.h>
#include <force.h>
#include <string>
#include <update.h>

using namespace LAMMPS_NS;

namespace vitreous {

ComputeGrade::ComputeGrade(LAMMPS *lammps, int narg, char **arg) : Compute(lammps, narg, arg) {
  if (narg != 3) error->all(FLERR, "compute {} takes no arguments, found {}", kStyle, narg - 3);
  peratom_flag = 1;
  size_peratom_cols = 0;
  timeflag = 1;  // LAMMPS says beforehand on which steps it will ask, so that the pair style can answer at once
}

void ComputeGrade::init() {
  pair_ = nullptr;
  for (const std::string style : PairModel::kStyles)
    for (const auto &name : {style, style + "/kk"})
      if (auto *pair = dynamic_cast<PairModel *>(force->pair_match(name, 1))) pair_ = pair;
  if (!pair_)
    error->all(FLERR, "compute {} found no pair style with a model, or several of one name; expected pair_style nequip, "
                      "allegro or vitreous, alone or once in a hybrid", kStyle);
}

void ComputeGrade::compute_peratom() {
  invoked_peratom = update->ntimestep;
  const std::vector<double> &grades = pair_->grades();
  grades_.assign(std::max(1, atom->nlocal), 0.0);
  for (int i = 0; i < atom->nlocal; i++)
    if (atom->mask[i] & groupbit) grades_[i] = grades[i];
  vector_atom = grades_.data();
}

}  // namespace vitreous
