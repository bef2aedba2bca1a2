"""Draw the pictures of gallery.md: run its commands in a folder, and draw some of the structures each leaves.

python docs/draw_gallery.py FOLDER
"""

import logging
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import read
from PIL import Image

from md.report.picture import draw_structure
from mlip.report.figures import new_panels

logger = logging.getLogger(__name__)

DOCS = Path(__file__).parent
BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What says in a frame's info which of its kind it is, and how it stands above the picture.
TITLES = {
    "strain_percent": "{:+.3g} %",
    "miller": "plane {}",
    "units": "{}",
    "lipon_composition": "x, y, z = {}",
    "misfit": "misfit {:.1%}",
    "core_atoms": "{} atoms",
}
MOST = 4
INCHES = 2.4
DOTS_PER_INCH = 90
COLORS = 255
# A cell that is taller is drawn several times side by side.
SLENDER = 0.35


def main(folder: Path) -> None:
    """Run every block of gallery.md, and write docs/images/gallery/NAME.png for each run_dir NAME.

    Args:
        folder: Where the commands run.
    """
    pictures = DOCS / "images" / "gallery"
    pictures.mkdir(parents=True, exist_ok=True)
    for text in BLOCK.findall((DOCS / "gallery.md").read_text()):
        words = shlex.split(text.replace("\\\n", " "))
        subprocess.run(words, cwd=folder, check=True, capture_output=True)
        run_dir = next(word.partition("=")[2] for word in words if word.startswith("run_dir="))
        built = read(folder / run_dir / "structures.extxyz", index=":")
        frames = [atoms for atoms in built if atoms.info["config_type"] != "slab_bulk"]
        path = draw(frames, pictures / f"{Path(run_dir).name}.png")
        logger.info("%s: %d structures, %d kB", path.name, len(frames), path.stat().st_size // 1000)


def draw(frames: list[Atoms], path: Path) -> Path:
    """Draw up to four frames side by side: the last of each kind, or evenly chosen ones of a single kind."""
    kinds = {atoms.info["config_type"]: atoms for atoms in frames}
    even = np.unique(np.linspace(0, len(frames) - 1, MOST).round().astype(int))
    chosen = list(kinds.values())[:MOST] if len(kinds) > 1 else [frames[k] for k in even]
    with new_panels(1, len(chosen), (INCHES * max(len(chosen), 1.5), INCHES * 1.3)) as (figure, panels):
        for axes, atoms in zip(panels, chosen, strict=True):
            widths = np.linalg.norm(atoms.cell.array[:2], axis=1)
            times = np.maximum(1, np.ceil(SLENDER * atoms.cell.array[2, 2] / widths)).astype(int)
            draw_structure(axes, atoms.repeat((*times, 1)))
            axes.set_title(title_of(atoms), fontsize=7)
            axes.get_legend().remove()
        figure.savefig(path, dpi=DOTS_PER_INCH, bbox_inches="tight")
    Image.open(path).convert("RGB").quantize(COLORS).save(path, optimize=True)
    return path


def title_of(atoms: Atoms) -> str:
    """Kind and formula of a structure, and what sets it apart."""
    shown = {
        key: np.round(v, 2).tolist() if isinstance(v, np.ndarray) else v for key, v in atoms.info.items()
    }
    facts = [form.format(shown[key]) for key, form in TITLES.items() if key in shown]
    kind = str(atoms.info["config_type"]).replace("_", " ")
    return "\n".join([f"{kind}, {atoms.get_chemical_formula('metal')}", *facts])


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main(Path(sys.argv[1]))
