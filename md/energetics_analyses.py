"""Analyses of energies by name: what `mlip analyze analysis=[...] structure=... potential=...` runs."""

from collections.abc import Callable, Mapping

from md.energetics.material import SYMMETRY_A, Material
from md.report.chapter import Analysis
from mlip.errors import ConfigError, DataError


def run_surface_energy(material: Material) -> Analysis:
    """Surface energies, converged over thickness."""
    from md.report.surfaces import surface_chapter

    return surface_chapter(material.surfaces, material.folder)


def run_wulff(material: Material) -> Analysis:
    """The equilibrium shape of the crystal."""
    from md.energetics.wulff import build_wulff_shape
    from md.report.surfaces import wulff_chapter
    from mlip.structures.orientation import conventional_cell

    lowest: dict[tuple[int, int, int], float] = {}
    for surface in material.surfaces:
        lowest[surface.plane] = min(surface.value, lowest.get(surface.plane, surface.value))
    crystal = conventional_cell(material.crystal.atoms, SYMMETRY_A)
    return wulff_chapter(build_wulff_shape(crystal, lowest), material.folder)


def run_equation_of_state(material: Material) -> Analysis:
    """Equation of state and bulk modulus."""
    from md.energetics.energy_volume import compute_equation_of_state
    from md.report.energy_volume import energy_volume_chapter

    settings = material.settings
    found = compute_equation_of_state(
        material.crystal.atoms,
        material.calculator,
        relative_volumes=settings.relative_volumes,
        count=settings.num_volumes,
        tolerance=settings.tolerance,
    )
    return energy_volume_chapter(found, material.folder)


def run_pair_curves(material: Material) -> Analysis:
    """Energies of two atoms alone, for every pair of species."""
    from md.energetics.pair_curves import compute_pair_curves
    from md.report.pair_curves import pair_curves_chapter

    there = {symbol for atoms in material.structures for symbol in atoms.get_chemical_symbols()}
    species = list(material.species) or sorted(there)
    if not species:
        raise ConfigError("found no species; expected species=[Li,S], or a structure= that has them")
    curves = compute_pair_curves(
        species,
        material.calculator,
        distances_A=material.settings.distances_A,
        step_A=material.settings.step_A,
    )
    return pair_curves_chapter(curves, material.folder)


def run_interface_energy(material: Material) -> Analysis:
    """Formation, interfacial and elastic energy, and adhesion, of every interface."""
    from md.energetics.interface_energy import compute_interface_energies
    from md.energetics.interface_samples import gather_samples
    from md.energetics.interface_sides import read_interfaces
    from md.report.interface_energy import interface_energy_chapter

    settings = material.settings
    found = compute_interface_energies(
        read_interfaces(material.structures),
        material.calculator,
        tolerance=settings.tolerance,
        cell=settings.relax_cell,
        registries=settings.registries,
    )
    return interface_energy_chapter(gather_samples(found), material.folder)


def run_elastic(material: Material) -> Analysis:
    """The elastic tensor."""
    from md.energetics.elastic import compute_elastic_tensor
    from md.report.elastic import elastic_chapter

    settings = material.settings
    return elastic_chapter(
        compute_elastic_tensor(
            material.crystal.atoms,
            material.calculator,
            strain=settings.strain,
            tolerance=settings.tolerance,
        ),
        material.folder,
    )


def run_phonons(material: Material) -> Analysis:
    """Vibrations at Gamma."""
    from md.energetics.phonons import compute_gamma_phonons
    from md.report.phonons import phonons_chapter

    found = compute_gamma_phonons(
        material.crystal.atoms, material.calculator, displacement_A=material.settings.displacement_A
    )
    return phonons_chapter(found, material.folder)


def run_amorphisation_energy(material: Material) -> Analysis:
    """What glasses have beyond their crystal."""
    from md.energetics.amorphisation import compute_amorphisation_energy
    from md.report.amorphisation import amorphisation_chapter

    if len(material.crystals) != 1:
        raise DataError(
            f"found {len(material.crystals)} frames in crystal=; expected one, of the composition of the "
            "glasses"
        )
    found = compute_amorphisation_energy(
        material.structures,
        material.crystals[0],
        material.calculator,
        tolerance=material.settings.tolerance,
    )
    return amorphisation_chapter(found, material.folder)


ENERGETICS: Mapping[str, Callable[[Material], Analysis]] = {
    "surface_energy": run_surface_energy,
    "wulff": run_wulff,
    "interface_energy": run_interface_energy,
    "equation_of_state": run_equation_of_state,
    "elastic": run_elastic,
    "phonons": run_phonons,
    "pair_curves": run_pair_curves,
    "amorphisation_energy": run_amorphisation_energy,
}


def run_energetics(name: str, material: Material) -> Analysis:
    """Run an analysis of `ENERGETICS`.

    Raises:
        ConfigError: A package that it needs is not there.
    """
    try:
        return ENERGETICS[name](material)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"analysis={name} needs the package {error.name}, which is not there; install "
            "vitreous[energetics]"
        ) from None
