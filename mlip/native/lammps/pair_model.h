// The pair styles. All of them take a type name of the model for each LAMMPS type:
//   pair_coeff * * FILE Li P S
#pragma once

#include <mpi.h>
#include <pair.h>

#include "graph_builder.h"
#include "model.h"
#include "rank_agreement.h"
#include "rank_exchange.h"

#include <memory>
#include <string>
#include <vector>

namespace vitreous {

// How atoms of other ranks, on which an atom's energy depends, are reached.
enum class Reach {
  folded,  // one cutoff far, each atom once; features fetched between layers if the model has layers
  images,  // one cutoff far, each image for itself: strictly local models of nequip's export, without lattice shifts
  ghosts,  // as far as all layers reach: nothing is fetched, and much computed twice
};

class PairModel : public LAMMPS_NS::Pair {
 public:
  static constexpr const char *kStyles[] = {"nequip", "allegro", "vitreous"};

  PairModel(LAMMPS_NS::LAMMPS *lammps, const char *style);
  ~PairModel() override;

  void settings(int narg, char **arg) override;
  void coeff(int narg, char **arg) override;
  void init_style() override;
  double init_one(int i, int j) override;
  void compute(int eflag, int vflag) override;
  void *extract(const char *name, int &dim) override;
  void *extract_peratom(const char *name, int &columns) override;

  int pack_forward_comm(int count, int *atoms, double *to, int, int *) override;
  void unpack_forward_comm(int count, int first, double *from) override;
  int pack_reverse_comm(int count, int first, double *to) override;
  void unpack_reverse_comm(int count, int *atoms, double *from) override;

  // The extrapolation grades of this step, (local atoms,): kept if they were asked for, else evaluated now.
  const std::vector<double> &grades();

 protected:
  std::string style_;
  ModelOptions options_;
  std::string dtype_;
  bool wide_ghosts_ = false;
  Reach reach_ = Reach::folded;
  std::unique_ptr<Model> model_;
  std::vector<int> model_types_;  // (ntypes + 1,), the model's type number of each LAMMPS type
  FoldedGraphs folded_;
  RankGraph rank_graph_;
  std::unique_ptr<RankExchange> exchange_;
  double energy_unit_ = 1.0;  // eV in LAMMPS's units
  std::vector<double> grades_;  // (local atoms,)
  int grade_wanted_ = 0;        // by fix pair
  // The steps of the last forces and of the last grades, or -1: LAMMPS may move atoms to other places in between.
  LAMMPS_NS::bigint force_step_ = -1, grade_step_ = -1;

  bool parallel() const;
  // The steps of `compute` that know in which memory a graph and its answer lie.
  virtual void build_graph();
  virtual Graph graph() const { return rank_graph_.view(); }
  virtual Problem not_finite(const Prediction &prediction);
  virtual void add_to_lammps(const Prediction &prediction);
  virtual void keep_grades(const Prediction &prediction);

  // What they share; the arrays are in main memory.
  Problem nonsense(const Graph &graph, const std::vector<int> &atom_of) const;
  void add_sums(double energy, const Prediction &prediction);
  void add_atoms_energies(const double *energies);
  void add_atoms_virial(const Graph &graph, const double *edge_gradient);

 private:
  void open_model(const std::string &path);
  void choose_reach();
  void map_types(char **names);
  void allocate();
  void check_special_bonds();
  bool without_atoms() const;
  bool grade_asked() const;
  Prediction predict(bool grade);
  Problem try_to_predict(bool grade, Prediction &prediction);
  void require_all_atoms() const;
  Prediction evaluate(bool grade);
  void add_forces(const Prediction &prediction);
};

}  // namespace vitreous
