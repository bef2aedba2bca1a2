// What an input asks of the pair styles, and what LAMMPS asks before a run.
#include "pair_model.h"

#include "evaluator_library.h"
#include "rank_agreement.h"

#include <algorithm>
#include <atom.h>
#include <comm.h>
#include <cstring>
#include <error.h>
#include <force.h>
#include <memory.h>
#include <neighbor.h>
#include <numeric>
#include <tuple>
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

// This process among those of its computer, and how many these are.
std::pair<int, int> place_on_node(MPI_Comm world) {
  MPI_Comm node;
  int rank = 0, size = 1;
  MPI_Comm_split_type(world, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
  MPI_Comm_rank(node, &rank);
  MPI_Comm_size(node, &size);
  MPI_Comm_free(&node);
  return {rank, size};
}

}  // namespace

PairModel::PairModel(LAMMPS *lammps, const char *style)
    : Pair(lammps), style_(style), exchange_(std::make_unique<RankExchange>(*this, comm, atom)) {
  one_coeff = 1;
  manybody_flag = 1;
  single_enable = 0;
  restartinfo = 0;
  no_virial_fdotr_compute = 1;
  centroidstressflag = CENTROID_NOTAVAIL;
  comm_forward = comm_reverse = comm_reverse_off = kExchangeWidth;
}

PairModel::~PairModel() {
  if (!allocated) return;
  memory->destroy(setflag);
  memory->destroy(cutsq);
}

bool PairModel::parallel() const { return comm->nprocs > 1; }

void PairModel::settings(int narg, char **arg) {
  if (style_ != "vitreous") {
    if (narg != 0)
      error->all(FLERR, "pair_style {} takes no arguments, found {}; pair_style vitreous does", style_, narg);
    return;
  }
  if (narg % 2 != 0)
    error->all(FLERR, "pair_style vitreous takes pairs of a keyword and a value, found {} words", narg);
  for (int k = 0; k < narg; k += 2) {
    const std::string key = arg[k], value = arg[k + 1];
    if (key == "device") options_.device = value == "auto" ? "" : value;
    else if (key == "kernel") options_.kernel = value;
    else if (key == "dtype" && (value == "float32" || value == "float64")) dtype_ = value;
    else if (key == "comm" && (value == "layer" || value == "ghost")) wide_ghosts_ = value == "ghost";
    else
      error->all(FLERR,
                 "found '{} {}'; expected comm layer|ghost, kernel auto|cpp|reference, device auto|cpu|cuda|cuda:N or "
                 "dtype float32|float64",
                 key, value);
  }
}

void PairModel::coeff(int narg, char **arg) {
  if (narg != 3 + atom->ntypes || std::strcmp(arg[0], "*") != 0 || std::strcmp(arg[1], "*") != 0)
    error->all(FLERR,
               "expected 'pair_coeff * * FILE.nequip.pth' and {} type names, one for each LAMMPS type, "
               "found {} words",
               atom->ntypes, narg);
  open_model(arg[2]);
  choose_reach();
  map_types(arg + 3);
  allocate();
  const Metadata &metadata = model_->metadata();
  utils::logmesg(lmp, "Vitreous: model {} (r_max {} A, types {}) on {}\n", options_.path, metadata.r_max,
                 join(metadata.type_names), model_->describe_device());
}

void PairModel::open_model(const std::string &path) {
  options_.path = path;
  std::tie(options_.local_rank, options_.ranks_of_node) = place_on_node(universe->uworld);
  options_.exchanging = parallel() && style_ != "allegro" && !wide_ghosts_;
  Problem problem;
  try {
    model_ = vitreous::load_model(options_);
    if (!dtype_.empty() && dtype_ != model_->metadata().dtype)
      problem.text = path + " computes in " + model_->metadata().dtype + "; asked was dtype " + dtype_ +
                     ": deploy the potential with dtype=" + dtype_;
  } catch (const ModelError &failure) {
    problem.text = failure.what();
  }
  const std::string told = problem_to_tell(problem, world);
  if (!told.empty()) error->all(FLERR, told);
}

void PairModel::choose_reach() {
  const Metadata &metadata = model_->metadata();
  if (style_ == "allegro" && metadata.exchanged_bytes > 0)
    error->all(FLERR, "{} holds a message-passing model; write pair_style nequip or vitreous", options_.path);
  if (wide_ghosts_ && metadata.layers < 1)
    error->all(FLERR,
               "{} does not say how many layers it has, which comm ghost needs; deploy it again, or use comm layer",
               options_.path);
  const bool local = style_ == "allegro" || metadata.exchanged_bytes == 0;
  reach_ = wide_ghosts_ && metadata.layers > 1 ? Reach::ghosts
           : local && !metadata.ours           ? Reach::images
                                               : Reach::folded;
  const bool exchanging = options_.exchanging && metadata.exchanged_bytes > 0;
  exchange_->expect(exchanging ? metadata.layers - 1 : 0, metadata.exchanged_bytes);
}

void PairModel::map_types(char **names) {
  model_types_.assign(atom->ntypes + 1, -1);
  for (int type = 1; type <= atom->ntypes; type++) {
    model_types_[type] = model_->metadata().find_type(names[type - 1]);
    if (model_types_[type] < 0)
      error->all(FLERR, "'{}' of LAMMPS type {} is no type of {}; it knows {}", names[type - 1], type, options_.path,
                 join(model_->metadata().type_names));
  }
}

void PairModel::allocate() {
  const int size = atom->ntypes + 1;
  if (!allocated) {
    memory->create(setflag, size, size, "pair:setflag");
    memory->create(cutsq, size, size, "pair:cutsq");
  }
  allocated = 1;
  for (int i = 1; i < size; i++)
    for (int j = 1; j < size; j++) setflag[i][j] = 1;
}

void PairModel::init_style() {
  force_step_ = grade_step_ = -1;
  if (std::strcmp(update->unit_style, "metal") == 0) energy_unit_ = 1.0;
  else if (std::strcmp(update->unit_style, "real") == 0)
    energy_unit_ = utils::get_conversion_factor(utils::ENERGY, utils::METAL2REAL);
  else
    error->all(FLERR,
               "found 'units {}'; the model speaks eV and A: write 'units metal' and give the timestep in ps, or "
               "'units real' and fs",
               update->unit_style);
  if (!atom->tag_enable) error->all(FLERR, "pair_style {} needs atom IDs: remove 'atom_modify id no'", style_);
  check_special_bonds();
  if (reach_ == Reach::ghosts) {
    const Metadata &metadata = model_->metadata();
    comm->cutghostuser = std::max(comm->cutghostuser, metadata.layers * (metadata.r_max + neighbor->skin));
  }
  const int ghosts_too = reach_ == Reach::ghosts ? NeighConst::REQ_GHOST : 0;
  neighbor->add_request(this, NeighConst::REQ_FULL | ghosts_too);
}

void PairModel::check_special_bonds() {
  if (atom->molecular == Atom::ATOMIC) return;
  // LAMMPS would drop or weaken pairs of bonded atoms; the model needs every neighbor.
  for (int k = 1; k <= 3; k++)
    if (force->special_lj[k] != 1.0 || force->special_coul[k] != 1.0)
      error->all(FLERR, "pair_style {} needs all neighbors, also bonded ones: write 'special_bonds lj/coul 1 1 1'",
                 style_);
}

double PairModel::init_one(int i, int j) {
  const Metadata &metadata = model_->metadata();
  return std::max(metadata.cutoff(model_types_[i], model_types_[j]), metadata.cutoff(model_types_[j], model_types_[i]));
}

}  // namespace vitreous
