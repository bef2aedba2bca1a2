#include "rank_exchange.h"

#include <algorithm>
#include <atom.h>
#include <comm.h>
#include <cstring>
#include <pair.h>

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

}  // namespace

RankExchange::RankExchange(Pair &pair, Comm &comm, const Atom &atom) : pair_(pair), comm_(comm), atom_(atom) {}

std::size_t RankExchange::count_atoms() const { return static_cast<std::size_t>(atom_.nlocal + atom_.nghost); }

template <class Real>
void RankExchange::prepare(std::int64_t width) {
  memory_.assign(measure<Real>(width), 0.0);
  rows_ = memory_.data();
}

// How many doubles of an atom: newer LAMMPS takes it as an argument, too, 29 Aug 2024 only so.
void RankExchange::forward_parts() {
  for (first_ = 0; first_ < row_; first_ += part_) {
    pair_.comm_forward = part_ = std::min(row_ - first_, kExchangeWidth);
    comm_.forward_comm(&pair_);
  }
  pair_.comm_forward = kExchangeWidth;
}

void RankExchange::reverse_parts() {
  for (first_ = 0; first_ < row_; first_ += part_) {
    pair_.comm_reverse = pair_.comm_reverse_off = part_ = std::min(row_ - first_, kExchangeWidth);
    comm_.reverse_comm(&pair_);
  }
  pair_.comm_reverse = pair_.comm_reverse_off = kExchangeWidth;
}

template <class Real>
void RankExchange::fetch(Real *rows, std::int64_t width) {
  prepare<Real>(width);
  const std::size_t bytes = width * sizeof(Real);
  for (int i = 0; i < atom_.nlocal; i++) std::memcpy(row_of(i), rows + i * width, bytes);
  forward_parts();
  for (std::size_t n = atom_.nlocal; n < atom_of_->size(); n++)
    std::memcpy(rows + n * width, row_of((*atom_of_)[n]), bytes);
}

template <class Real>
void RankExchange::give_back(Real *rows, std::int64_t width) {
  prepare<Real>(width);
  const std::size_t bytes = width * sizeof(Real);
  for (std::size_t n = 0; n < atom_of_->size(); n++)
    std::memcpy(row_of((*atom_of_)[n]), rows + n * width, bytes);
  reverse_parts();
  for (int i = 0; i < atom_.nlocal; i++) std::memcpy(rows + i * width, row_of(i), bytes);
  std::fill(rows + atom_.nlocal * width, rows + atom_of_->size() * width, Real(0));
}

void RankExchange::forward(float *rows, std::int64_t width) { fetch(rows, width); }
void RankExchange::forward(double *rows, std::int64_t width) { fetch(rows, width); }
void RankExchange::reverse(float *rows, std::int64_t width) { give_back(rows, width); }
void RankExchange::reverse(double *rows, std::int64_t width) { give_back(rows, width); }

int RankExchange::pack_forward(int count, const int *atoms, double *to) {
  for (int k = 0; k < count; k++) to = std::copy_n(part_of(atoms[k]), part_, to);
  return count * part_;
}

void RankExchange::unpack_forward(int count, int first, const double *from) {
  for (int k = 0; k < count; k++, from += part_) std::copy_n(from, part_, row_of(first + k) + first_);
}

int RankExchange::pack_reverse(int count, int first, double *to) {
  for (int k = 0; k < count; k++) to = std::copy_n(part_of(first + k), part_, to);
  return count * part_;
}

void RankExchange::unpack_reverse(int count, const int *atoms, const double *from) {
  const auto sum = single_ ? add<float> : add<double>;
  for (int k = 0; k < count; k++, from += part_) sum(from, row_of(atoms[k]) + first_, part_);
}

}  // namespace vitreous
