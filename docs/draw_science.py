"""Draw the pictures of science.md: shipped frames, walkers of known answers, runs of a small potential.

python docs/draw_science.py FOLDER     (some ten minutes; killed, the same command goes on)
"""

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import write
from hydra import compose, initialize_config_module
from PIL import Image

from md.analyze import analyze
from mlip.inputs import resolve_input

logger = logging.getLogger(__name__)

PICTURES = Path(__file__).parent / "images" / "science"
SCALE, COLORS = 0.6, 255
EDGE_A, NUM_IONS, HOP_A = 20.0, 40, 2.8
BARRIER_EV, D_AT_600_A2_PS = 0.2, 0.2
KELVIN_IN_EV = 8.617333e-5
# Runs of `mlip`, by the folder that each leaves. The potential is small: they show analyses, no material.
RUNS = {
    "train": """train data.train=[dataset:lips/train_700.extxyz.xz,dataset:li_metal/train.extxyz.xz]
        data.num_train=200 data.batch_size=2 model.num_layers=2 model.num_features=16 model.l_max=2
        model.parity=false model.radial_mlp_width=32 model.r_max=4.5 model.pair_potential=zbl
        trainer.max_epochs=20""",
    "bulk": """md engine=torch structure=dataset:lips/small_20.extxyz index=0 grade.stop=null protocol=nvt
        protocol.nvt.temperature_K=800 protocol.nvt.duration_ps=6 protocol.nvt.every_ps=0.05
        potential={folder}/train/potential.mlip""",
    "stack": """build builder=interface builder.compound_plane=[1,0,0] builder.bonds=[[P,S,2.5]]
        builder.compound_thickness_A=14 builder.metal_thickness_A=10
        structure=[dataset:crystals/Li3PS4_gamma.extxyz,dataset:crystals/Li.extxyz]""",
    "reaction": """md engine=torch origin=Li3PS4 grade.stop=null protocol=interface
        protocol.ramp.ensemble=nvt protocol.ramp.temperature_K=[50,700] protocol.ramp.duration_ps=0.5
        protocol.ramp.every_ps=0.1 protocol.equilibrate.ensemble=nvt protocol.equilibrate.temperature_K=700
        protocol.equilibrate.duration_ps=0.5 protocol.equilibrate.every_ps=0.1
        protocol.produce.temperature_K=700 protocol.produce.duration_ps=4 protocol.produce.every_ps=0.05
        potential={folder}/train/potential.mlip structure={folder}/stack/structures.extxyz""",
    "lithium": """analyze analysis=[wulff] structure=dataset:crystals/Li.extxyz energetics.max_steps=50
        energetics.planes=[[1,0,0],[1,1,0],[1,1,1]] energetics.thickness_A=[8,12]
        potential={folder}/train/potential.mlip""",
}


def main(folder: Path) -> None:
    """Make the runs in a folder, analyse them, and leave docs/images/science/NAME.png.

    Args:
        folder: Where trajectories and full figures go.
    """
    crystal = resolve_input("dataset:lips/small_20.extxyz")
    draw([crystal], folder / "crystal", ["analysis=[units,bond_valence]", "temperature_K=520"])
    glasses = {
        (name, kelvin): folder / f"{name}_{kelvin}.traj" for name in "ABC" for kelvin in (800, 650, 520)
    }
    for number, ((name, kelvin), path) in enumerate(glasses.items()):
        ratio = {"A": 0.7, "B": 1.0, "C": 1.5}[name]
        barrier = np.exp(-BARRIER_EV / KELVIN_IN_EV * (1 / kelvin - 1 / 600))
        write(path, walk(ratio * D_AT_600_A2_PS * barrier, 400, 0.1, number))
    names, kelvins = ([str(key[part]) for key in glasses] for part in (0, 1))
    words = [f"glasses=[{','.join(names)}]", f"temperature_K=[{','.join(kelvins)}]", "timestep_fs=100"]
    diffusion = ["analysis=[diffusion]", "species=Li", f"hop_distance_A={HOP_A}"]
    draw(list(glasses.values()), folder / "glasses", [*diffusion, *words])
    still = folder / "still.traj"
    write(still, walk(7.5e-5, 500, 0.2, 0))
    draw([still], folder / "still", [*diffusion, "temperature_K=300", "timestep_fs=200"])
    reacting = folder / "reacting.traj"
    write(reacting, react())
    draw([reacting], folder / "reacting", ["analysis=[reactions]", "timestep_fs=1000", "temperature_K=400"])
    draw_runs(folder)
    chosen = {
        "units": "crystal/units",
        "bond_valence": "crystal/bond_valence",
        "arrhenius_glasses_Li": "glasses/arrhenius_glasses_Li",
        "bound": "still/msd_Li",
        "reduction": "reacting/reduction",
        "structure_factor": "melt/structure_factor",
        "van_hove_Li": "melt/van_hove_Li",
        "density_Li": "melt/density_Li",
        "kymograph": "interface/kymograph",
        "profiles": "interface/profiles",
        "wulff": "lithium/figures/wulff",
    }
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name, figure in chosen.items():
        shrink(folder / f"{figure}.png", PICTURES / f"{name}.png")


def draw_runs(folder: Path) -> None:
    """Run what `RUNS` says, and analyse it."""
    for name, words in RUNS.items():
        command = ["mlip", *words.format(folder=folder).split(), f"run_dir={folder / name}"]
        subprocess.run(command, check=True)
    draw([folder / "bulk" / "trajectory.h5"], folder / "melt", ["analysis=[scattering,hops,density_map]"])
    chapters = ["analysis=[reactions,profiles]", "axis=c"]
    draw([folder / "reaction" / "trajectory.h5"], folder / "interface", chapters)


def draw(paths: list[Path], folder: Path, overrides: list[str]) -> None:
    """Analyse trajectories as `mlip analyze` does; figures go into a folder."""
    with initialize_config_module("mlip.conf", version_base="1.3"):
        config = compose("analyze", [f"trajectory=[{','.join(map(str, paths))}]", *overrides])
    analyze(paths, config, folder)


def walk(diffusivity_A2_ps: float, num_frames: int, interval_ps: float, seed: int) -> list[Atoms]:
    """Frames of lithium that walks with a known D and shakes, past sulfur at rest."""
    rng = np.random.default_rng(seed)
    positions = np.repeat(rng.uniform(0, EDGE_A, (1, 2 * NUM_IONS, 3)), num_frames, axis=0)
    shape = (num_frames, NUM_IONS, 3)
    steps = rng.normal(scale=np.sqrt(2 * diffusivity_A2_ps * interval_ps), size=shape)
    positions[:, :NUM_IONS] += np.cumsum(steps, axis=0) + rng.normal(scale=0.1, size=shape)
    symbols = f"Li{NUM_IONS}S{NUM_IONS}"
    return [Atoms(symbols, positions=each, cell=[EDGE_A] * 3, pbc=True) for each in positions]


def react(num_frames: int = 100) -> list[Atoms]:
    """PS4 in lithium, of which one sulfur after the other goes away, as the logarithm of time."""
    rng = np.random.default_rng(1)
    sites = np.stack(np.meshgrid(*[np.arange(5) * 9.0] * 3, indexing="ij"), -1).reshape(-1, 3) + 4.5
    corners = 2.05 / np.sqrt(3) * np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    bonded = (sites[:, None] + corners).reshape(-1, 3)
    gone = rng.permutation(len(bonded))
    frames = []
    for time_ps in np.arange(num_frames):
        count = int(len(bonded) * 0.15 * np.log1p(time_ps) * rng.normal(1, 0.02))
        places = bonded.copy()
        places[gone[:count]] += 2.5 * np.sign(corners)[gone[:count] % 4] / np.sqrt(3)
        lithium = sites[:25] + np.array([4.5, 0.0, 0.0])
        positions = np.concatenate([sites, places, lithium])
        positions += rng.normal(scale=0.05, size=positions.shape)
        symbols = f"P{len(sites)}S{len(bonded)}Li{len(lithium)}"
        frames.append(Atoms(symbols, positions=positions, cell=[45.0] * 3, pbc=True))
    return frames


def shrink(source: Path, target: Path) -> None:
    """A small copy of a figure."""
    image = Image.open(source).convert("RGB")
    size = (round(SCALE * image.width), round(SCALE * image.height))
    image = image.resize(size, Image.Resampling.LANCZOS)
    image.quantize(COLORS).save(target, optimize=True)
    logger.info("%s: %d kB", target.name, target.stat().st_size // 1000)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main(Path(sys.argv[1]))
