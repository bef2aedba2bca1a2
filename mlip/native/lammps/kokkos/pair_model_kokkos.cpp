#include "pair_model_kokkos.h"

#include "create_pair.h"

#include <algorithm>
#include <atom_kokkos.h>
#include <atom_masks.h>
#include <comm.h>
#include <domain.h>
#include <error.h>
#include <force.h>
#include <kokkos.h>
#include <neigh_request.h>
#include <neighbor.h>

using namespace LAMMPS_NS;

namespace vitreous {

// Not unnamed: CUDA compiles lambdas of named functions only.
namespace on_device {

inline std::int64_t count_infinite(const double *numbers, std::int64_t size) {
  std::int64_t count = 0;
  Kokkos::parallel_reduce(
      "vitreous::count_infinite", DeviceRange(0, size),
      KOKKOS_LAMBDA(const std::int64_t k, std::int64_t &sum) { sum += Kokkos::isfinite(numbers[k]) ? 0 : 1; }, count);
  return count;
}

inline double sum(const double *numbers, std::int64_t size) {
  double total = 0.0;
  Kokkos::parallel_reduce(
      "vitreous::sum", DeviceRange(0, size),
      KOKKOS_LAMBDA(const std::int64_t k, double &part) { part += numbers[k]; }, total);
  return total;
}

template <class Forces>
void add_forces(const double *given, double unit, std::int64_t count, const DeviceArray<int> &atom_of,
                const Forces &forces) {
  Kokkos::parallel_for(
      "vitreous::add_forces", DeviceRange(0, count), KOKKOS_LAMBDA(const std::int64_t n) {
        for (int axis = 0; axis < 3; axis++) forces(atom_of(n), axis) += unit * given[3 * n + axis];
      });
}

}  // namespace on_device

PairModelKokkos::PairModelKokkos(LAMMPS *lammps, const char *style) : PairModel(lammps, style) {
  kokkosable = 1;
  reverse_comm_device = 1;
  atomKK = static_cast<AtomKokkos *>(atom);
  // Also where the device is the host: LAMMPS then exchanges by the functions of Kokkos if it is told so.
  execution_space = Device;
  datamask_read = X_MASK | F_MASK | TYPE_MASK;
  datamask_modify = F_MASK;
  auto exchange = std::make_unique<DeviceExchange>(*this, comm, atom);
  device_exchange_ = exchange.get();
  exchange_ = std::move(exchange);
}

void PairModelKokkos::coeff(int narg, char **arg) {
  if (kOnDevice) {
    const std::string device = "cuda:" + std::to_string(Kokkos::device_id());
    if (!options_.device.empty() && options_.device != device)
      error->all(FLERR, "device is '{}', but Kokkos runs on {}; leave it out, or use pair_style {} without kk",
                 options_.device, device, style_);
    options_.device = device;
  }
  PairModel::coeff(narg, arg);
  if (reach_ == Reach::ghosts)
    error->all(FLERR, "found comm ghost, which pair_style {}/kk has not; use comm layer or the style without kk", style_);
  device_graph_.set_types(model_types_, model_->metadata());
}

void PairModelKokkos::init_style() {
  PairModel::init_style();
  atomKK = static_cast<AtomKokkos *>(atom);  // others after replicate
  NeighRequest *request = neighbor->find_request(this);
  request->set_kokkos_host(0);
  request->set_kokkos_device(1);
}

void PairModelKokkos::compute(int eflag, int vflag) {
  atomKK->sync(execution_space, F_MASK);
  PairModel::compute(eflag, vflag);
  atomKK->modified(execution_space, datamask_modify);
}

void PairModelKokkos::build_graph() {
  atomKK->sync(execution_space, X_MASK | TYPE_MASK);
  const int total = atom->nlocal + atom->nghost;
  if (neighbor->ago == 0 || !device_graph_.fits(total)) {
    if (reach_ == Reach::folded) {
      atomKK->sync(Host, X_MASK | TAG_MASK);
      folded_.find_owners(*atom, *domain);
      device_graph_.set_images(folded_.images());
    } else {
      device_graph_.set_unfolded(total);
    }
  }
  device_graph_.build(*atomKK, *domain, *static_cast<NeighListKokkos<LMPDeviceType> *>(list));
  device_exchange_->set_device_graph(device_graph_.atom_of(), device_graph_.view().num_atoms);
}

Problem PairModelKokkos::not_finite(const Prediction &prediction) {
  if (on_device::count_infinite(prediction.energies, atom->nlocal) == 0 &&
      on_device::count_infinite(prediction.forces, 3 * graph().num_atoms) == 0)
    return {};
  atomKK->sync(Host, TAG_MASK);
  const HostGraph copy = device_graph_.copy();
  return nonsense(copy.graph, copy.atom_of);
}

void PairModelKokkos::add_to_lammps(const Prediction &prediction) {
  add_forces(prediction);
  add_sums(on_device::sum(prediction.energies, atom->nlocal), prediction);
  if (eflag_atom) add_atoms_energies(to_host(prediction.energies, atom->nlocal).data());
  if (vflag_atom) {
    const HostGraph copy = device_graph_.copy();
    add_atoms_virial(copy.graph, to_host(prediction.edge_gradient, 3 * copy.graph.num_edges).data());
  }
}

void PairModelKokkos::keep_grades(const Prediction &prediction) {
  const std::size_t count = prediction.grades ? atom->nlocal : 0;
  grades_ = to_host(prediction.grades, count);
  grades_.resize(std::max(1, atom->nlocal), 0.0);
}

void PairModelKokkos::add_forces(const Prediction &prediction) {
  if (!force->newton_pair && (parallel() || reach_ != Reach::folded)) device_exchange_->add_to_owners(prediction.forces, 3);
  const std::int64_t count = force->newton_pair ? graph().num_atoms : atom->nlocal;
  on_device::add_forces(prediction.forces, energy_unit_, count, device_graph_.atom_of(),
                        atomKK->k_f.view<LMPDeviceType>());
  Kokkos::fence("vitreous::add_forces");  // torch takes their memory again
}

int PairModelKokkos::pack_forward_comm_kokkos(int count, DAT::tdual_int_1d atoms, DeviceExchange::Buffer &to, int,
                                              int *) {
  return device_exchange_->pack_forward(count, atoms, to);
}

void PairModelKokkos::unpack_forward_comm_kokkos(int count, int first, DeviceExchange::Buffer &from) {
  device_exchange_->unpack_forward(count, first, from);
}

int PairModelKokkos::pack_reverse_comm_kokkos(int count, int first, DeviceExchange::Buffer &to) {
  return device_exchange_->pack_reverse(count, first, to);
}

void PairModelKokkos::unpack_reverse_comm_kokkos(int count, DAT::tdual_int_1d atoms, DeviceExchange::Buffer &from) {
  device_exchange_->unpack_reverse(count, atoms, from);
}

Pair *create_kokkos_pair(LAMMPS *lammps, const char *style) {
  if (!lammps->kokkos)
    lammps->error->all(FLERR, "pair_style {}/kk found, but Kokkos is off; start lmp with -k on", style);
  return new PairModelKokkos(lammps, style);
}

}  // namespace vitreous
