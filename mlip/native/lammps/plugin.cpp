// What LAMMPS calls when it loads the plugin: registers the pair styles and the compute.
#include "compute_grade.h"
#include "pair_model.h"
#include "plugin_abi.h"
#ifdef VITREOUS_KOKKOS
#include "kokkos/create_pair.h"
#endif

#include <cstdio>
#include <lammps.h>
#include <library.h>

namespace {

// LAMMPS casts the pointer to Pair *, so the conversion must happen here, where the class is known.
void *create_pair(void *lammps, const char *style) {
  return static_cast<LAMMPS_NS::Pair *>(
      new vitreous::PairModel(static_cast<LAMMPS_NS::LAMMPS *>(lammps), style));
}
void *create_nequip(void *lammps) { return create_pair(lammps, "nequip"); }
void *create_allegro(void *lammps) { return create_pair(lammps, "allegro"); }
void *create_vitreous(void *lammps) { return create_pair(lammps, "vitreous"); }

#ifdef VITREOUS_KOKKOS
void *create_on_device(void *lammps, const char *style) {
  return vitreous::create_kokkos_pair(static_cast<LAMMPS_NS::LAMMPS *>(lammps), style);
}
void *create_nequip_kk(void *lammps) { return create_on_device(lammps, "nequip"); }
void *create_allegro_kk(void *lammps) { return create_on_device(lammps, "allegro"); }
void *create_vitreous_kk(void *lammps) { return create_on_device(lammps, "vitreous"); }
#endif

void *create_grade(void *lammps, int narg, char **arg) {
  return static_cast<LAMMPS_NS::Compute *>(
      new vitreous::ComputeGrade(static_cast<LAMMPS_NS::LAMMPS *>(lammps), narg, arg));
}

struct PairStyle {
  const char *name, *info;
  lammpsplugin_factory1 *create;
};
constexpr PairStyle kPairStyles[] = {
    {"nequip", "Vitreous: message-passing models, syntax of pair_nequip_allegro", &create_nequip},
    {"allegro", "Vitreous: strictly local models, syntax of pair_nequip_allegro", &create_allegro},
    {"vitreous", "Vitreous: all deployed models, with options", &create_vitreous},
#ifdef VITREOUS_KOKKOS
    {"nequip/kk", "Vitreous: nequip on the device of Kokkos", &create_nequip_kk},
    {"allegro/kk", "Vitreous: allegro on the device of Kokkos", &create_allegro_kk},
    {"vitreous/kk", "Vitreous: vitreous on the device of Kokkos", &create_vitreous_kk},
#endif
};

// Whether this is the LAMMPS that the plugin was compiled for; says what is wrong if not.
bool fits(const LAMMPS_NS::LAMMPS &host) {
  if (host.num_ver != VITREOUS_LAMMPS_VERSION) {
    std::fprintf(stderr,
                 "Vitreous plugin: built for LAMMPS %d, this is LAMMPS %d, its pair styles are not loaded; run the "
                 "LAMMPS that it was built for, or build it again\n",
                 VITREOUS_LAMMPS_VERSION, host.num_ver);
    return false;
  }
  const int bytes = lammps_extract_setting(nullptr, "tagint");
  if (bytes != static_cast<int>(sizeof(LAMMPS_NS::tagint))) {
    std::fprintf(stderr,
                 "Vitreous plugin: built for atom IDs of %d bytes, this LAMMPS has %d, its pair styles are not loaded; "
                 "build it again with LAMMPS_SIZES=%s\n",
                 static_cast<int>(sizeof(LAMMPS_NS::tagint)), bytes, bytes == 8 ? "bigbig" : "smallbig");
    return false;
  }
  return true;
}

}  // namespace

extern "C" void lammpsplugin_init(void *lammps, void *handle, void *register_style) {
  const auto *host = static_cast<LAMMPS_NS::LAMMPS *>(lammps);
  if (!fits(*host)) return;
  lammpsplugin_t plugin{};
  plugin.version = host->version;
  plugin.author = "Vitreous";
  plugin.handle = handle;
  const auto announce = reinterpret_cast<lammpsplugin_regfunc>(register_style);
  plugin.style = "pair";
  for (const PairStyle &style : kPairStyles) {
    plugin.name = style.name;
    plugin.info = style.info;
    plugin.creator.v1 = style.create;
    announce(&plugin, lammps);
  }
  plugin.style = "compute";
  plugin.name = vitreous::ComputeGrade::kStyle;
  plugin.info = "Vitreous: the extrapolation grade of each atom";
  plugin.creator.v2 = &create_grade;
  announce(&plugin, lammps);
}
