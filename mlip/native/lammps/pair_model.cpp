#include "pair_model.h"

#include "closest_pair.h"
#include "compute_grade.h"
#include "evaluator_library.h"
#include "rank_agreement.h"

#include <algorithm>
#include <atom.h>
#include <cmath>
#include <comm.h>
#include <cstring>
#include <domain.h>
#include <error.h>
#include <force.h>
#include <memory.h>
#include <modify.h>
#include <neigh_list.h>
#include <neighbor.h>
#include <new>
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

bool all_finite(const double *values, std::int64_t count) {
  return std::all_of(values, values + count, [](double value) { return std::isfinite(value); });
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

bool PairModel::without_atoms() const { return atom->nlocal == 0 && !parallel(); }

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

void PairModel::compute(int eflag, int vflag) {
  ev_init(eflag, vflag);
  force_step_ = update->ntimestep;
  if (without_atoms()) return;
  const bool grade = grade_asked();
  const Prediction prediction = predict(grade);
  add_to_lammps(prediction);
  keep_grades(prediction);
  grade_step_ = grade ? force_step_ : -1;
}

Prediction PairModel::predict(bool grade) {
  Prediction prediction;
  const Problem problem = try_to_predict(grade, prediction);
  if (!all_well(!problem.found(), world)) error->all(FLERR, problem_to_tell(problem, world));
  return prediction;
}

// What came between, if anything, which ends all ranks: nothing may be thrown while others wait.
Problem PairModel::try_to_predict(bool grade, Prediction &prediction) {
  exchange_->begin(rank_graph_.atom_of);
  try {
    require_all_atoms();
    build_graph();
    prediction = evaluate(grade);
  } catch (const std::bad_alloc &) {
    exchange_->finish_absent();
    return {"too little memory for the neighbors of " + std::to_string(atom->nlocal) +
            " atoms; use fewer atoms for each computer, or more computers"};
  } catch (const ModelError &failure) {
    exchange_->finish_absent();
    return {failure.what()};
  }
  return not_finite(prediction);
}

void PairModel::require_all_atoms() const {
  if (list->inum == atom->nlocal) return;
  throw ModelError("pair_style " + style_ + " needs all atoms, but the neighbor list has " +
                   std::to_string(list->inum) + " of " + std::to_string(atom->nlocal) +
                   "; in pair_style hybrid name every type in its pair_coeff");
}

void PairModel::build_graph() {
  const Metadata &metadata = model_->metadata();
  if (reach_ == Reach::folded) {
    if (neighbor->ago == 0 || !folded_.fits(*atom)) folded_.find_owners(*atom, *domain);
    folded_.build(rank_graph_, *atom, *domain, *list, model_types_, metadata);
    return;
  }
  const int centers = reach_ == Reach::ghosts ? atom->nlocal + list->gnum : atom->nlocal;
  build_unfolded(rank_graph_, *atom, *domain, *list, model_types_, metadata, centers);
}

// By fix pair, or by a compute that LAMMPS will call on this step.
bool PairModel::grade_asked() const {
  const auto computes = modify->get_compute_by_style(ComputeGrade::kStyle);
  return grade_wanted_ != 0 || std::any_of(computes.begin(), computes.end(), [this](Compute *compute) {
           return compute->matchstep(update->ntimestep) != 0;
         });
}

Prediction PairModel::evaluate(bool grade) {
  Request request;
  if (parallel() && reach_ == Reach::folded) request.exchanger = exchange_.get();
  request.edge_gradient = vflag_atom != 0;
  request.grade = grade;
  return model_->evaluate(graph(), request);
}

Problem PairModel::not_finite(const Prediction &prediction) {
  if (all_finite(prediction.energies, atom->nlocal) && all_finite(prediction.forces, 3 * graph().num_atoms)) return {};
  return nonsense(graph(), rank_graph_.atom_of);
}

Problem PairModel::nonsense(const Graph &graph, const std::vector<int> &atom_of) const {
  const ClosestPair closest = find_closest_pair(graph, atom_of, atom->tag);
  return {"the model gives NaN or infinite energies at step " + std::to_string(update->ntimestep) + ": " +
              closest.text +
              "; relax the structure first, use a smaller timestep or a potential trained on such structures",
          closest.distance};
}

void PairModel::add_to_lammps(const Prediction &prediction) {
  add_forces(prediction);
  add_sums(std::accumulate(prediction.energies, prediction.energies + atom->nlocal, 0.0), prediction);
  if (eflag_atom) add_atoms_energies(prediction.energies);
  if (vflag_atom) add_atoms_virial(graph(), prediction.edge_gradient);
}

void PairModel::add_sums(double energy, const Prediction &prediction) {
  if (eflag_global) eng_vdwl += energy_unit_ * energy;
  if (!vflag_global) return;
  const auto &v = prediction.virial;
  const double voigt[6] = {v[0], v[4], v[8], v[1], v[2], v[5]};  // LAMMPS: xx yy zz xy xz yz
  for (int k = 0; k < 6; k++) virial[k] += energy_unit_ * voigt[k];
}

void PairModel::add_atoms_energies(const double *energies) {
  for (int i = 0; i < atom->nlocal; i++) eatom[i] += energy_unit_ * energies[i];
}

void PairModel::keep_grades(const Prediction &prediction) {
  grades_.assign(std::max(1, atom->nlocal), 0.0);  // a rank without atoms has them, too
  if (prediction.grades) std::copy_n(prediction.grades, atom->nlocal, grades_.begin());
}

// Forces on other ranks' atoms go home with newton by LAMMPS, after this, and without by our own exchange.
void PairModel::add_forces(const Prediction &prediction) {
  if (!force->newton_pair && (parallel() || reach_ != Reach::folded)) exchange_->add_to_owners(prediction.forces, 3);
  const int count = force->newton_pair ? static_cast<int>(rank_graph_.atom_of.size()) : atom->nlocal;
  for (int n = 0; n < count; n++) {
    double *sum = atom->f[rank_graph_.atom_of[n]];
    for (int axis = 0; axis < 3; axis++) sum[axis] += energy_unit_ * prediction.forces[3 * n + axis];
  }
}

// Each edge's share, -vec (x) dE/dvec, belongs to its centre.
void PairModel::add_atoms_virial(const Graph &graph, const double *edge_gradient) {
  std::vector<double> shares(6 * graph.num_atoms, 0.0);
  for (std::int64_t e = 0; e < graph.num_edges; e++) {
    const auto vec = graph.edge_vector(e);
    const double *g = edge_gradient + 3 * e;
    double *share = shares.data() + 6 * graph.center(e);
    for (int axis = 0; axis < 3; axis++) share[axis] -= vec[axis] * g[axis];
    share[3] -= 0.5 * (vec[0] * g[1] + vec[1] * g[0]);
    share[4] -= 0.5 * (vec[0] * g[2] + vec[2] * g[0]);
    share[5] -= 0.5 * (vec[1] * g[2] + vec[2] * g[1]);
  }
  if (reach_ == Reach::ghosts) exchange_->add_to_owners(shares.data(), 6);  // ghosts are centres, too
  for (int i = 0; i < atom->nlocal; i++)
    for (int k = 0; k < 6; k++) vatom[i][k] += energy_unit_ * shares[6 * i + k];
}

const std::vector<double> &PairModel::grades() {
  if (grade_step_ == update->ntimestep || without_atoms()) return grades_;
  if (force_step_ != update->ntimestep)
    error->all(FLERR, "grades of step {} are asked for, but its forces were not computed; write 'run 0' before",
               update->ntimestep);
  keep_grades(predict(true));
  grade_step_ = update->ntimestep;
  return grades_;
}

// `fix ID all pair N STYLE grade 1` asks for the extrapolation grade of each atom, every N steps.
void *PairModel::extract(const char *name, int &dim) {
  dim = 0;
  return std::strcmp(name, "grade_flag") == 0 ? &grade_wanted_ : nullptr;
}

void *PairModel::extract_peratom(const char *name, int &columns) {
  columns = 0;
  return std::strcmp(name, "grade") == 0 ? grades_.data() : nullptr;
}

int PairModel::pack_forward_comm(int count, int *atoms, double *to, int, int *) {
  return exchange_->pack_forward(count, atoms, to);
}

void PairModel::unpack_forward_comm(int count, int first, double *from) {
  exchange_->unpack_forward(count, first, from);
}

int PairModel::pack_reverse_comm(int count, int first, double *to) { return exchange_->pack_reverse(count, first, to); }

void PairModel::unpack_reverse_comm(int count, int *atoms, double *from) {
  exchange_->unpack_reverse(count, atoms, from);
}

}  // namespace vitreous
