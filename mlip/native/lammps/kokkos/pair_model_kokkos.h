// The pair styles nequip/kk, allegro/kk and vitreous/kk: positions, neighbour list, graph, forces and what ranks
// exchange stay on the device of Kokkos.
#pragma once

#include "pair_model.h"

#include "device_exchange.h"
#include "device_graph.h"

#include <kokkos_base.h>

namespace vitreous {

class PairModelKokkos : public PairModel, public LAMMPS_NS::KokkosBase {
 public:
  PairModelKokkos(LAMMPS_NS::LAMMPS *lammps, const char *style);

  void coeff(int narg, char **arg) override;
  void init_style() override;
  void compute(int eflag, int vflag) override;

  int pack_forward_comm_kokkos(int count, DAT::tdual_int_1d atoms, DeviceExchange::Buffer &to, int, int *) override;
  void unpack_forward_comm_kokkos(int count, int first, DeviceExchange::Buffer &from) override;
  int pack_reverse_comm_kokkos(int count, int first, DeviceExchange::Buffer &to) override;
  void unpack_reverse_comm_kokkos(int count, DAT::tdual_int_1d atoms, DeviceExchange::Buffer &from) override;

 protected:
  void build_graph() override;
  Graph graph() const override { return device_graph_.view(); }
  Problem not_finite(const Prediction &prediction) override;
  void add_to_lammps(const Prediction &prediction) override;
  void keep_grades(const Prediction &prediction) override;

 private:
  DeviceGraph device_graph_;
  DeviceExchange *device_exchange_;  // the base's

  void add_forces(const Prediction &prediction);
};

}  // namespace vitreous
