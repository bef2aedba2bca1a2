// The extrapolation grade of each atom, by the model of the pair style:
//   compute ID GROUP vitreous/grade
#pragma once

#include <compute.h>

#include <vector>

namespace vitreous {

class PairModel;

class ComputeGrade : public LAMMPS_NS::Compute {
 public:
  static constexpr const char *kStyle = "vitreous/grade";

  ComputeGrade(LAMMPS_NS::LAMMPS *lammps, int narg, char **arg);

  void init() override;
  void compute_peratom() override;
  double memory_usage() override { return static_cast<double>(grades_.capacity() * sizeof(double)); }

 private:
  PairModel *pair_ = nullptr;
  std::vector<double> grades_;  // (local atoms,), zero outside of the group
};

}  // namespace vitreous
