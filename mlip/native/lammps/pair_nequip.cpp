#include "pair_nequip.h"

#include "evaluator_library.h"
#include "graph_builder.h"

#include <algorithm>
#include <atom.h>
#include <cmath>
#include <comm.h>
#include <cstring>
#include <domain.h>
#include <error.h>
#include <force.h>
#include <memory.h>
#include <neigh_list.h>
#include <neighbor.h>
#include <numeric>
#include <universe.h>
#include <update.h>
#include <utils.h>

using namespace LAMMPS_NS;

namespace vitreous {
namespace {

std::string join(const std::vector<std::string> &words) {
  return std::accumulate(words.begin(), words.end(), std::string(),
                         [](const std::string &text, const std::string &word) {
                           return text.empty() ? word : text + " " + word;
                         });
}

int local_rank(MPI_Comm world) {
  MPI_Comm node;
  int rank = 0;
  MPI_Comm_split_type(world, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
  MPI_Comm_rank(node, &rank);
  MPI_Comm_free(&node);
  return rank;
}

bool all_finite(const std::vector<double> &values) {
  return std::all_of(values.begin(), values.end(), [](double value) { return std::isfinite(value); });
}

// The shortest edge, the usual reason for a model's nonsense.
std::string describe_closest_pair(const Graph &graph, const tagint *tags) {
  double shortest = INFINITY;
  std::int64_t found = -1;
  for (std::int64_t e = 0; e < graph.num_edges(); e++) {
    double square = 0.0;
    for (int axis = 0; axis < 3; axis++) {
      double d = graph.positions[3 * graph.neighbors[e] + axis] - graph.positions[3 * graph.centers[e] + axis];
      for (int row = 0; row < 3; row++) d += graph.shifts[3 * e + row] * graph.cell[3 * row + axis];
      square += d * d;
    }
    if (square < shortest) {
      shortest = square;
      found = e;
    }
  }
  if (found < 0) return "no two atoms are within the cutoff";
  return "closest atoms " + std::to_string(tags[graph.centers[found]]) + " and " +
         std::to_string(tags[graph.neighbors[found]]) + " are " + std::to_string(std::sqrt(shortest)) + " A apart";
}

}  // namespace

PairNequip::PairNequip(LAMMPS *lammps) : Pair(lammps) {
  one_coeff = 1;
  manybody_flag = 1;
  single_enable = 0;
  restartinfo = 0;
  no_virial_fdotr_compute = 1;
  centroidstressflag = CENTROID_NOTAVAIL;
}

PairNequip::~PairNequip() {
  if (!allocated) return;
  memory->destroy(setflag);
  memory->destroy(cutsq);
}

void PairNequip::settings(int narg, char ** /*arg*/) {
  if (narg != 0) error->all(FLERR, "pair_style nequip takes no arguments, found {}", narg);
  if (comm->nprocs != 1)
    error->all(FLERR,
               "pair_style nequip runs on 1 MPI rank, found {}; start one rank and set OMP_NUM_THREADS to "
               "use several cores",
               comm->nprocs);
}

void PairNequip::coeff(int narg, char **arg) {
  if (narg != 3 + atom->ntypes || std::strcmp(arg[0], "*") != 0 || std::strcmp(arg[1], "*") != 0)
    error->all(FLERR,
               "expected 'pair_coeff * * FILE.nequip.pth' and {} type names, one for each LAMMPS type, "
               "found {} words",
               atom->ntypes, narg);
  open_model(arg[2]);
  map_types(arg + 3);
  allocate();
  utils::logmesg(lmp, "Vitreous: model {} (r_max {} A, types {}) on {}\n", model_path, model->metadata().r_max,
                 join(model->metadata().type_names), model->describe_device());
}

void PairNequip::open_model(const std::string &path) {
  std::string problem;
  try {
    model = vitreous::load_model(path, local_rank(universe->uworld));
    model_path = path;
  } catch (const ModelError &failure) {
    problem = failure.what();
  }
  if (!problem.empty()) error->all(FLERR, problem);
}

void PairNequip::map_types(char **names) {
  model_types.assign(atom->ntypes + 1, -1);
  for (int type = 1; type <= atom->ntypes; type++) {
    model_types[type] = model->metadata().find_type(names[type - 1]);
    if (model_types[type] < 0)
      error->all(FLERR, "'{}' of LAMMPS type {} is no type of {}; it knows {}", names[type - 1], type, model_path,
                 join(model->metadata().type_names));
  }
}

void PairNequip::allocate() {
  const int size = atom->ntypes + 1;
  if (!allocated) {
    memory->create(setflag, size, size, "pair:setflag");
    memory->create(cutsq, size, size, "pair:cutsq");
  }
  allocated = 1;
  for (int i = 1; i < size; i++)
    for (int j = 1; j < size; j++) setflag[i][j] = 1;
}

void PairNequip::init_style() {
  if (std::strcmp(update->unit_style, "metal") != 0)
    error->all(FLERR, "found 'units {}'; the model speaks eV and A: write 'units metal' and give the timestep in ps",
               update->unit_style);
  if (!atom->tag_enable) error->all(FLERR, "pair_style nequip needs atom IDs: remove 'atom_modify id no'");
  check_special_bonds();
  neighbor->add_request(this, NeighConst::REQ_FULL);
}

void PairNequip::check_special_bonds() {
  if (atom->molecular == Atom::ATOMIC) return;
  // LAMMPS would drop or weaken pairs of bonded atoms; the model needs every neighbor.
  for (int k = 1; k <= 3; k++)
    if (force->special_lj[k] != 1.0 || force->special_coul[k] != 1.0)
      error->all(FLERR, "pair_style nequip needs all neighbors, also bonded ones: write "
                        "'special_bonds lj/coul 1 1 1'");
}

double PairNequip::init_one(int i, int j) {
  const Metadata &metadata = model->metadata();
  return std::max(metadata.cutoff(model_types[i], model_types[j]), metadata.cutoff(model_types[j], model_types[i]));
}

void PairNequip::compute(int eflag, int vflag) {
  ev_init(eflag, vflag);
  if (vflag_atom || cvflag_atom)
    error->all(FLERR, "pair_style nequip has no per-atom virial; remove the compute that asks for it "
                      "(stress/atom, heat/flux), the pressure of the whole cell is available");
  if (atom->nlocal == 0) return;
  if (list->inum != atom->nlocal)
    error->all(FLERR, "pair_style nequip needs all atoms, but the neighbor list has {} of {}; in pair_style hybrid "
                      "name every type in its pair_coeff",
               list->inum, atom->nlocal);

  const Graph graph = build_graph(*atom, *domain, *list, model_types, model->metadata());
  Prediction prediction;
  std::string problem;
  try {
    prediction = model->evaluate(graph);
  } catch (const ModelError &failure) {
    problem = failure.what();
  }
  if (!problem.empty()) error->one(FLERR, problem);
  check_finite(graph, prediction);
  add_to_lammps(prediction);
}

void PairNequip::check_finite(const Graph &graph, const Prediction &prediction) {
  if (all_finite(prediction.energies) && all_finite(prediction.forces)) return;
  error->one(FLERR,
             "the model gives NaN or infinite energies at step {}: {}; relax the structure first, use a smaller "
             "timestep or a potential trained on such structures",
             update->ntimestep, describe_closest_pair(graph, atom->tag));
}

void PairNequip::add_to_lammps(const Prediction &prediction) {
  for (int i = 0; i < atom->nlocal; i++)
    for (int axis = 0; axis < 3; axis++) atom->f[i][axis] += prediction.forces[3 * i + axis];
  if (eflag_global)
    eng_vdwl += std::accumulate(prediction.energies.begin(), prediction.energies.end(), 0.0);
  if (eflag_atom)
    for (int i = 0; i < atom->nlocal; i++) eatom[i] += prediction.energies[i];
  if (vflag_global) {
    const auto &v = prediction.virial;
    const double voigt[6] = {v[0], v[4], v[8], v[1], v[2], v[5]};  // LAMMPS: xx yy zz xy xz yz
    for (int k = 0; k < 6; k++) virial[k] += voigt[k];
  }
}

}  // namespace vitreous
