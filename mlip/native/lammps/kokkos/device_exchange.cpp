#include "device_exchange.h"

#include <atom.h>

using namespace LAMMPS_NS;

namespace vitreous {

// Not unnamed: CUDA compiles lambdas of named functions only.
namespace on_device {

// Copies rows of the graph's atoms from `begin` to `end` to those of LAMMPS's atoms, or back.
template <class Real>
void scatter(const Real *graph_rows, std::int64_t width, const Rows &rows, const DeviceArray<int> &atom_of,
             std::int64_t begin, std::int64_t end) {
  Kokkos::parallel_for(
      "vitreous::scatter", DeviceRange(begin * width, end * width), KOKKOS_LAMBDA(const std::int64_t k) {
        rows.put(atom_of(k / width), k % width, graph_rows[k]);
      });
}

template <class Real>
void gather(Real *graph_rows, std::int64_t width, const Rows &rows, const DeviceArray<int> &atom_of,
            std::int64_t begin, std::int64_t end) {
  Kokkos::parallel_for(
      "vitreous::gather", DeviceRange(begin * width, end * width), KOKKOS_LAMBDA(const std::int64_t k) {
        rows.get(atom_of(k / width), k % width, graph_rows[k]);
      });
}

template <class Real>
void clear(Real *graph_rows, std::int64_t begin, std::int64_t end) {
  Kokkos::parallel_for(
      "vitreous::clear", DeviceRange(begin, end), KOKKOS_LAMBDA(const std::int64_t k) { graph_rows[k] = Real(0); });
}

// `atom(k)` is the k-th atom that LAMMPS exchanges.
template <class Atoms, class To>
void pack(int count, const Atoms &atom, const Rows &rows, const To &to) {
  Kokkos::parallel_for(
      "vitreous::pack", DeviceRange(0, std::int64_t(count) * rows.part), KOKKOS_LAMBDA(const std::int64_t k) {
        to(k) = rows.of(atom(k / rows.part))[rows.first + k % rows.part];
      });
}

template <class Atoms, class From>
void unpack(int count, const Atoms &atom, const Rows &rows, const From &from) {
  Kokkos::parallel_for(
      "vitreous::unpack", DeviceRange(0, std::int64_t(count) * rows.part), KOKKOS_LAMBDA(const std::int64_t k) {
        rows.of(atom(k / rows.part))[rows.first + k % rows.part] = from(k);
      });
}

// No atom is twice in what one rank sends another. `Real` is what lies in the doubles.
template <class Real, class Atoms, class From>
void add(int count, const Atoms &atom, const Rows &rows, const From &from) {
  Kokkos::parallel_for(
      "vitreous::add", DeviceRange(0, std::int64_t(count) * rows.part), KOKKOS_LAMBDA(const std::int64_t k) {
        constexpr int kNumbers = sizeof(double) / sizeof(Real);
        double *target = rows.of(atom(k / rows.part)) + rows.first + k % rows.part;
        Real sums[kNumbers], given[kNumbers];
        std::memcpy(sums, target, sizeof(double));
        std::memcpy(given, &from(k), sizeof(double));
        for (int i = 0; i < kNumbers; i++) sums[i] += given[i];
        std::memcpy(target, sums, sizeof(double));
      });
}

// Ghosts that follow each other.
struct Following {
  int first;
  KOKKOS_INLINE_FUNCTION int operator()(std::int64_t k) const { return first + static_cast<int>(k); }
};

}  // namespace on_device

void DeviceExchange::set_device_graph(const DeviceArray<int> &atom_of, std::int64_t num_atoms) {
  atom_of_ = atom_of;
  num_atoms_ = num_atoms;
}

template <class Real>
void DeviceExchange::prepare(std::int64_t width) {
  const std::size_t count = measure(width, std::is_same_v<Real, float>);
  if (both_.extent(0) < count) both_ = decltype(both_)("vitreous::rows", count + count / 8);
  both_.clear_sync_state();
  both_.modify_device();
  rows_ = both_.h_view.data();
  Kokkos::deep_copy(Kokkos::subview(both_.d_view, std::make_pair(std::size_t(0), count)), 0.0);
}

template <class Real>
void DeviceExchange::fetch(Real *rows, std::int64_t width) {
  prepare<Real>(width);
  const on_device::Rows all{both_.d_view.data(), row_, 0, row_};
  on_device::scatter(rows, width, all, atom_of_, 0, atom_->nlocal);
  pass_forward();
  both_.sync_device();
  on_device::gather(rows, width, all, atom_of_, atom_->nlocal, num_atoms_);
  Kokkos::fence("vitreous::fetch");  // torch has streams of its own
}

template <class Real, class Pass>
void DeviceExchange::give_back(Real *rows, std::int64_t width, Pass pass) {
  prepare<Real>(width);
  const on_device::Rows all{both_.d_view.data(), row_, 0, row_};
  on_device::scatter(rows, width, all, atom_of_, 0, num_atoms_);
  pass();
  both_.sync_device();
  on_device::gather(rows, width, all, atom_of_, 0, atom_->nlocal);
  on_device::clear(rows, atom_->nlocal * width, num_atoms_ * width);
  Kokkos::fence("vitreous::give_back");
}

void DeviceExchange::forward(float *rows, std::int64_t width) { fetch(rows, width); }
void DeviceExchange::forward(double *rows, std::int64_t width) { fetch(rows, width); }

void DeviceExchange::reverse(float *rows, std::int64_t width) {
  give_back(rows, width, [this] { pass_reverse(); });
}

void DeviceExchange::reverse(double *rows, std::int64_t width) {
  give_back(rows, width, [this] { pass_reverse(); });
}

void DeviceExchange::add_to_owners(double *rows, int width) {
  give_back(rows, width, [this, width] { pass_to_owners(width); });
}

int DeviceExchange::pack_forward(int count, const int *atoms, double *to) {
  both_.sync_host();
  return RankExchange::pack_forward(count, atoms, to);
}

void DeviceExchange::unpack_forward(int count, int first, const double *from) {
  both_.sync_host();
  both_.modify_host();
  RankExchange::unpack_forward(count, first, from);
}

int DeviceExchange::pack_reverse(int count, int first, double *to) {
  both_.sync_host();
  return RankExchange::pack_reverse(count, first, to);
}

void DeviceExchange::unpack_reverse(int count, const int *atoms, const double *from) {
  both_.sync_host();
  both_.modify_host();
  RankExchange::unpack_reverse(count, atoms, from);
}

int DeviceExchange::pack_forward(int count, const DAT::tdual_int_1d &atoms, Buffer &to) {
  if (absent_) return 0;
  on_device::pack(count, atoms.view<LMPDeviceType>(), part_of_rows(), to.view<LMPDeviceType>());
  return count * part_;
}

void DeviceExchange::unpack_forward(int count, int first, const Buffer &from) {
  if (absent_) return;
  on_device::unpack(count, on_device::Following{first}, part_of_rows(), from.view<LMPDeviceType>());
}

int DeviceExchange::pack_reverse(int count, int first, Buffer &to) {
  if (absent_) return 0;
  on_device::pack(count, on_device::Following{first}, part_of_rows(), to.view<LMPDeviceType>());
  return count * part_;
}

void DeviceExchange::unpack_reverse(int count, const DAT::tdual_int_1d &atoms, const Buffer &from) {
  if (absent_) return;
  const auto list = atoms.view<LMPDeviceType>();
  if (single_) on_device::add<float>(count, list, part_of_rows(), from.view<LMPDeviceType>());
  else on_device::add<double>(count, list, part_of_rows(), from.view<LMPDeviceType>());
}

}  // namespace vitreous
