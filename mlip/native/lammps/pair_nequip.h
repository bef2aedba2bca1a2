// Pair style nequip: a message-passing model on one rank, with the syntax of the upstream pair style:
//   pair_style nequip
//   pair_coeff * * FILE.nequip.pth Li P S      (a type name of the model for each LAMMPS type)
#pragma once

#include <mpi.h>
#include <pair.h>

#include "model.h"

#include <memory>
#include <string>
#include <vector>

namespace vitreous {

class PairNequip : public LAMMPS_NS::Pair {
 public:
  explicit PairNequip(LAMMPS_NS::LAMMPS *lammps);
  ~PairNequip() override;

  void settings(int narg, char **arg) override;
  void coeff(int narg, char **arg) override;
  void init_style() override;
  double init_one(int i, int j) override;
  void compute(int eflag, int vflag) override;

 private:
  std::unique_ptr<Model> model;
  std::string model_path;
  std::vector<int> model_types;  // (ntypes + 1,), the model's type number of each LAMMPS type

  void open_model(const std::string &path);
  void map_types(char **names);
  void allocate();
  void check_special_bonds();
  void check_finite(const Graph &graph, const Prediction &prediction);
  void add_to_lammps(const Prediction &prediction);
};

}  // namespace vitreous
