"""Methods of energetics, to paste: how energies were computed, with settings and citations."""

from collections.abc import Callable, Mapping, Sequence

from md.energetics.material import Material

# Not made of relaxed structures.
_RIGID = ("pair_curves",)


def describe_energetics(chosen: Sequence[str], material: Material) -> list[str]:
    """Sentences on the analyses of energies among those chosen; keys in brackets are of references.bib.

    Args:
        chosen: Names of analyses.
        material: What was computed, and how.
    """
    ours = [name for name in chosen if name in ENERGETICS_METHODS]
    if not ours:
        return []
    found = [_source(material)]
    if set(ours) - set(_RIGID):
        found.append(_relaxation(material))
    return found + [ENERGETICS_METHODS[name](material) for name in ours]


def _source(material: Material) -> str:
    from mlip.deploy import MLIPCalculator  # torch

    calculator = material.calculator
    if isinstance(calculator, MLIPCalculator):
        return f"Energies, forces and stresses are those of the potential {calculator.path.name}."
    return f"Energies, forces and stresses are those of {type(calculator).__name__} in ASE [larsen2017]."


def _relaxation(material: Material) -> str:
    settings = material.settings
    if settings.max_steps == 0:
        return "Structures were taken as they are, without relaxation."
    return (
        f"Structures were relaxed by FIRE [bitzek2006] until no force was larger than "
        f"{settings.force_tolerance_eV_A:g} eV/Å and no stress on what could change of the cell larger than "
        f"{settings.stress_tolerance_GPa:g} GPa; crystals first, atoms and cell."
    )


def _surfaces(material: Material) -> str:
    settings = material.settings
    least = _listed([f"{each:g}" for each in sorted(settings.thickness_A)])
    way = (
        "from the slope of E against N [fiorentini1996], which does not drift with the thickness "
        "[boettger1994]"
        if len(settings.thickness_A) > 2
        else "from the thickest slab"
    )
    return (
        f"Surface energies (E - N E_bulk) / 2S are {way}, of slabs of whole formula units at least {least} Å "
        f"thick with {settings.vacuum_A:g} Å of vacuum, each termination by itself, atoms relaxed in the "
        "cell of the crystal."
    )


def _wulff(material: Material) -> str:
    planes = (
        "the planes given"
        if material.settings.planes
        else f"all planes with Miller indices up to {material.settings.max_index}"
    )
    return (
        f"Equilibrium shapes are Wulff's construction [wulff1901] of {planes}, the lowest termination of "
        "each, with the point group of the crystal."
    )


def _interfaces(material: Material) -> str:
    settings = material.settings
    cell = {"z": "the height of the cell", "flexible": "the whole cell"}.get(str(settings.relax_cell))
    relaxed = f"with {cell} relaxed" if cell else "in a fixed cell"
    text = (
        f"Energies of interfaces are as of Wang et al. [wang2022], {relaxed}: the formation energy is beyond "
        "bulks at their minima, the interfacial energy sigma beyond bulks with the lattice of the relaxed "
        "interface in its plane that are relaxed along its normal, the work of adhesion the sum of both "
        "surface energies less sigma. Common cells are those of Zur and McGill [zur1984]."
    )
    if any(atoms.info.get("is_glass") for atoms in material.structures):
        text += (
            " Those of glasses are means over samples, each beyond relaxed bulks of the same glasses "
            "[wang2023]; errors are standard errors of these means."
        )
    elif settings.registries > 1:
        text += (
            f" Of each interface, {settings.registries} × {settings.registries} shifts in the plane were "
            "computed unrelaxed, and the lowest was relaxed."
        )
    return text


def _equation_of_state(material: Material) -> str:
    low, high = (100 * each for each in material.settings.relative_volumes)
    return (
        f"Equations of state are of Birch and Murnaghan, third order [birch1947], through energies at "
        f"{material.settings.num_volumes} volumes from {low:g} to {high:g} %, atoms relaxed at each."
    )


def _elastic(material: Material) -> str:
    strain = 100 * material.settings.strain
    return (
        f"Elastic constants are central differences of stress at strains of {strain:g} and {strain / 2:g} %, "
        "atoms relaxed, extrapolated to no strain and averaged over the symmetry of the crystal; stability "
        "is that of Born [mouhat2014], moduli of polycrystals are Hill's means [hill1952], the anisotropy is "
        "the universal index [ranganathan2008]."
    )


def _phonons(material: Material) -> str:
    return (
        f"Vibrations at Gamma are from displacements of {material.settings.displacement_A:g} Å by phonopy "
        "[togo2023], with the acoustic sum rule imposed."
    )


def _pair_curves(material: Material) -> str:
    low, high = material.settings.distances_A
    return (
        f"Curves of pairs are energies of two atoms alone, {low:g} to {high:g} Å apart in steps of "
        f"{material.settings.step_A:g} Å, less those of each."
    )


def _amorphisation(material: Material) -> str:
    return (
        f"The energy of amorphisation [wang2023] is that of {len(material.structures)} glasses less the "
        "crystal per atom, all with atoms and cells relaxed; its error is the standard error of the mean."
    )


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


# A sentence or two an analysis, by its name.
ENERGETICS_METHODS: Mapping[str, Callable[[Material], str]] = {
    "surface_energy": _surfaces,
    "wulff": _wulff,
    "interface_energy": _interfaces,
    "equation_of_state": _equation_of_state,
    "elastic": _elastic,
    "phonons": _phonons,
    "pair_curves": _pair_curves,
    "amorphisation_energy": _amorphisation,
}
