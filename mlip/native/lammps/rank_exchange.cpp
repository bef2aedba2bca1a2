#include "rank_exchange.h"

#include <algorithm>
#include <atom.h>
#include <comm.h>
#include <cstring>
#include <pair.h>
#include <type_traits>

using namespace LAMMPS_NS;

namespace vitreous {
namespace {

template <class Real>
void add(const double *from, double *to, int row) {
  const auto *given = reinterpret_cast<const Real *>(from);
  auto *sums = reinterpret_cast<Real *>(to);
  const int count = row * static_cast<int>(sizeof(double) / sizeof(Real));
  for (int k = 0; k < count; k++) sums[k] += given[k];
}

int parts_of(int row) { return (row + kExchangeWidth - 1) / kExchangeWidth; }

}  // namespace

RankExchange::RankExchange(Pair &pair, Comm *const &comm, Atom *const &atom) : atom_(atom), pair_(pair), comm_(comm) {}

void RankExchange::expect(int each_way, long row_bytes) {
  each_way_ = each_way;
  parts_ = parts_of(static_cast<int>((row_bytes + sizeof(double) - 1) / sizeof(double)));
}

void RankExchange::begin(const std::vector<int> &atom_of) {
  atom_of_ = &atom_of;
  forward_left_ = reverse_left_ = each_way_;
}

void RankExchange::finish_absent() {
  absent_ = true;
  for (; forward_left_ > 0; forward_left_--)
    for (int part = 0; part < parts_; part++) forward_part(kExchangeWidth);
  for (; reverse_left_ > 0; reverse_left_--)
    for (int part = 0; part < parts_; part++) reverse_part(kExchangeWidth);
  absent_ = false;
}

// How many doubles of an atom LAMMPS takes: newer versions have an argument for it, too, 29 Aug 2024 has not.
void RankExchange::forward_part(int width) {
  pair_.comm_forward = width;
  comm_->forward_comm(&pair_);
  pair_.comm_forward = kExchangeWidth;
}

void RankExchange::reverse_part(int width) {
  pair_.comm_reverse = pair_.comm_reverse_off = width;
  comm_->reverse_comm(&pair_);
  pair_.comm_reverse = pair_.comm_reverse_off = kExchangeWidth;
}

std::size_t RankExchange::measure(std::int64_t width, bool single) {
  row_ = static_cast<int>((width * (single ? sizeof(float) : sizeof(double)) + sizeof(double) - 1) / sizeof(double));
  single_ = single;
  return static_cast<std::size_t>(atom_->nlocal + atom_->nghost) * row_;
}

template <class Real>
void RankExchange::prepare(std::int64_t width) {
  memory_.assign(measure(width, std::is_same_v<Real, float>), 0.0);
  rows_ = memory_.data();
}

template <class Exchange>
void RankExchange::in_parts(int parts, Exchange exchange) {
  for (int k = 0; k < parts; k++) {
    first_ = k * kExchangeWidth;
    part_ = std::clamp(row_ - first_, 0, kExchangeWidth);
    exchange(part_);
  }
}

void RankExchange::pass_forward() {
  in_parts(parts_, [this](int part) { forward_part(part); });
  forward_left_--;
}

void RankExchange::pass_reverse() {
  in_parts(parts_, [this](int part) { reverse_part(part); });
  reverse_left_--;
}

void RankExchange::pass_to_owners(int width) {
  in_parts(parts_of(width), [this](int part) { reverse_part(part); });
}

template <class Real>
void RankExchange::fetch(Real *rows, std::int64_t width) {
  prepare<Real>(width);
  const std::size_t bytes = width * sizeof(Real);
  for (int i = 0; i < atom_->nlocal; i++) std::memcpy(row_of(i), rows + i * width, bytes);
  pass_forward();
  for (std::size_t n = atom_->nlocal; n < atom_of_->size(); n++)
    std::memcpy(rows + n * width, row_of((*atom_of_)[n]), bytes);
}

template <class Real, class Pass>
void RankExchange::give_back(Real *rows, std::int64_t width, Pass pass) {
  prepare<Real>(width);
  const std::size_t bytes = width * sizeof(Real);
  for (std::size_t n = 0; n < atom_of_->size(); n++)
    std::memcpy(row_of((*atom_of_)[n]), rows + n * width, bytes);
  pass();
  for (int i = 0; i < atom_->nlocal; i++) std::memcpy(rows + i * width, row_of(i), bytes);
  std::fill(rows + atom_->nlocal * width, rows + atom_of_->size() * width, Real(0));
}

void RankExchange::forward(float *rows, std::int64_t width) { fetch(rows, width); }
void RankExchange::forward(double *rows, std::int64_t width) { fetch(rows, width); }

void RankExchange::reverse(float *rows, std::int64_t width) {
  give_back(rows, width, [this] { pass_reverse(); });
}

void RankExchange::reverse(double *rows, std::int64_t width) {
  give_back(rows, width, [this] { pass_reverse(); });
}

void RankExchange::add_to_owners(double *rows, int width) {
  give_back(rows, width, [this, width] { pass_to_owners(width); });
}

int RankExchange::pack_forward(int count, const int *atoms, double *to) {
  if (absent_) return 0;
  for (int k = 0; k < count; k++) to = std::copy_n(part_of(atoms[k]), part_, to);
  return count * part_;
}

void RankExchange::unpack_forward(int count, int first, const double *from) {
  if (absent_) return;
  for (int k = 0; k < count; k++, from += part_) std::copy_n(from, part_, row_of(first + k) + first_);
}

int RankExchange::pack_reverse(int count, int first, double *to) {
  if (absent_) return 0;
  for (int k = 0; k < count; k++) to = std::copy_n(part_of(first + k), part_, to);
  return count * part_;
}

void RankExchange::unpack_reverse(int count, const int *atoms, const double *from) {
  if (absent_) return;
  const auto sum = single_ ? add<float> : add<double>;
  for (int k = 0; k < count; k++, from += part_) sum(from, row_of(atoms[k]) + first_, part_);
}

}  // namespace vitreous
