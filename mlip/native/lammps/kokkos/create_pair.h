// The pair styles on the device of Kokkos, for code that is compiled without it.
#pragma once

#include <pair.h>

namespace vitreous {

// `style` is nequip, allegro or vitreous.
LAMMPS_NS::Pair *create_kokkos_pair(LAMMPS_NS::LAMMPS *lammps, const char *style);

}  // namespace vitreous
