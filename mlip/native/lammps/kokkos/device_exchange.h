// Rows of numbers of a rank's graph, exchanged by LAMMPS without leaving the device where MPI can do that.
#pragma once

#include "device_memory.h"
#include "rank_exchange.h"

#include <cstring>

namespace vitreous {

// Not unnamed: CUDA compiles lambdas of named functions only.
namespace on_device {

// Rows of LAMMPS's atoms, and the part of them that is exchanged now. What lies in the doubles is copied byte by byte:
// it may be floats.
struct Rows {
  double *data;
  int row, first, part;

  KOKKOS_INLINE_FUNCTION double *of(std::int64_t atom) const { return data + atom * row; }

  template <class Real>
  KOKKOS_INLINE_FUNCTION void put(std::int64_t atom, std::int64_t k, const Real &number) const {
    std::memcpy(reinterpret_cast<char *>(of(atom)) + k * sizeof(Real), &number, sizeof(Real));
  }

  template <class Real>
  KOKKOS_INLINE_FUNCTION void get(std::int64_t atom, std::int64_t k, Real &number) const {
    std::memcpy(&number, reinterpret_cast<const char *>(of(atom)) + k * sizeof(Real), sizeof(Real));
  }
};

}  // namespace on_device

class DeviceExchange : public RankExchange {
 public:
  using Buffer = Kokkos::DualView<double *, LMPDeviceType::array_layout, LMPDeviceType>;

  using RankExchange::RankExchange;

  // The graph whose rows are exchanged next; atom_of as in DeviceGraph.
  void set_device_graph(const DeviceArray<int> &atom_of, std::int64_t num_atoms);

  bool on_device() const override { return kOnDevice; }
  void forward(float *rows, std::int64_t width) override;
  void forward(double *rows, std::int64_t width) override;
  void reverse(float *rows, std::int64_t width) override;
  void reverse(double *rows, std::int64_t width) override;
  void add_to_owners(double *rows, int width) override;

  // For an MPI that reads main memory only.
  int pack_forward(int count, const int *atoms, double *to) override;
  void unpack_forward(int count, int first, const double *from) override;
  int pack_reverse(int count, int first, double *to) override;
  void unpack_reverse(int count, const int *atoms, const double *from) override;

  int pack_forward(int count, const DAT::tdual_int_1d &atoms, Buffer &to);
  void unpack_forward(int count, int first, const Buffer &from);
  int pack_reverse(int count, int first, Buffer &to);
  void unpack_reverse(int count, const DAT::tdual_int_1d &atoms, const Buffer &from);

 private:
  DeviceArray<int> atom_of_;
  std::int64_t num_atoms_ = 0;
  Kokkos::DualView<double *, Kokkos::LayoutRight, LMPDeviceType> both_;  // the rows, on host and device

  on_device::Rows part_of_rows() const { return {both_.d_view.data(), row_, first_, part_}; }
  template <class Real>
  void prepare(std::int64_t width);
  template <class Real>
  void fetch(Real *rows, std::int64_t width);
  template <class Real, class Pass>
  void give_back(Real *rows, std::int64_t width, Pass pass);
};

}  // namespace vitreous
