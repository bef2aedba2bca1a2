// What LAMMPS calls when it loads the plugin: registers pair style nequip.
#include "pair_nequip.h"
#include "plugin_abi.h"

#include <cstdio>
#include <lammps.h>

namespace {

void *create_pair_nequip(void *lammps) {
  // LAMMPS casts the pointer to Pair *, so the conversion must happen here, where the class is known.
  return static_cast<LAMMPS_NS::Pair *>(
      new vitreous::PairNequip(static_cast<LAMMPS_NS::LAMMPS *>(lammps)));
}

}  // namespace

extern "C" void lammpsplugin_init(void *lammps, void *handle, void *register_style) {
  const auto *host = static_cast<LAMMPS_NS::LAMMPS *>(lammps);
  if (host->num_ver != VITREOUS_LAMMPS_VERSION) {
    std::fprintf(stderr,
                 "Vitreous plugin: built for LAMMPS %d, this is LAMMPS %d, pair_style nequip is not "
                 "loaded; run the lmp of the environment that vitreous is installed in\n",
                 VITREOUS_LAMMPS_VERSION, host->num_ver);
    return;
  }
  lammpsplugin_t plugin{};
  plugin.version = host->version;
  plugin.style = "pair";
  plugin.name = "nequip";
  plugin.info = "Vitreous: message-passing interatomic potentials (.nequip.pth)";
  plugin.author = "Vitreous";
  plugin.creator.v1 = &create_pair_nequip;
  plugin.handle = handle;
  reinterpret_cast<lammpsplugin_regfunc>(register_style)(&plugin, lammps);
}
