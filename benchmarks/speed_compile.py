"""nequip's compilations for `speed.py`, kept on disk: they take minutes each.

What torch makes depends on its number of threads, so a file or an entry of its cache belongs to one number.
"""

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from speed_models import FRAME_ATOMS, MODELS, build_nequip, nequip_state, one_graph
from torch import nn

logger = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Where packages and torch's own cache are kept: SPEED_CACHE, or the user's cache."""
    return Path(os.environ.get("SPEED_CACHE", "~/.cache/vitreous-bench")).expanduser()


def use_cache() -> None:
    """Let torch find what it compiled in earlier processes, in the folder that `speed.py` sets."""
    import torch._inductor.config

    torch._inductor.config.cpp.cxx = (None, "g++")  # part of the cache's keys: whatever CXX says


def package_file(model: str, device: str, modifier: str | None) -> Path:
    """The file of a compiled model for this torch, nequip and number of threads."""
    import nequip

    name = f"{model} {modifier}" if modifier else model
    place = f"cpu-{torch.get_num_threads()}" if device == "cpu" else torch.cuda.get_device_name()
    versions = f"torch-{torch.__version__}-nequip-{nequip.__version__}"
    return cache_folder() / versions / place.replace(" ", "-") / f"{name.replace(' ', '-')}.nequip.pt2"


def load_package(model: str, device: str, modifier: str | None = None) -> nn.Module:
    """nequip's AOTInductor package of a model, compiled in a process of its own if it is not there yet."""
    from nequip.model.inference_models import load_compiled_model

    file = package_file(model, device, modifier)
    if not file.exists():
        logger.info("compiling %s once: minutes", file)
        # Apart: the compilation takes memory, and resets what torch has compiled in this process.
        command = [sys.executable, __file__, model, device, *([modifier] if modifier else [])]
        subprocess.run(command, check=True)
    with nequip_state():
        package, _ = load_compiled_model(str(file), device)
    return package


def compile_package(model: str, device: str, modifier: str | None = None) -> None:
    """What `nequip-compile --mode aotinductor --target ase` does, for a model without a file."""
    from nequip.model.modify_utils import modify
    from nequip.scripts._compile_utils import COMPILE_TARGET_DICT
    from nequip.utils.aot import aot_export_model

    file = package_file(model, device, modifier)
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f"{os.getpid()}-{file.name}")
    target = COMPILE_TARGET_DICT["ase"]
    with nequip_state():
        theirs = build_nequip(model, "eager")
        if modifier:
            theirs = modify(theirs, [{"modifier": modifier}])
        aot_export_model(
            model=theirs,
            device=torch.device(device),
            input_fields=target["input"],
            output_fields=target["output"],
            data=example_data(model, device),
            batch_map=target["batch_map_settings"](
                {axis: torch.export.Dim(f"num_{axis}", min=2) for axis in ("graph", "node", "edge")}
            ),
            output_path=str(unfinished),
            inductor_configs={"aot_inductor.metadata": metadata_of(theirs, target)},
        )
    unfinished.replace(file)


def metadata_of(theirs: Any, target: dict[str, Any]) -> dict[str, str]:
    """What nequip's loader asks of a package."""
    from nequip.utils.aoti_metadata import (
        NEQUIP_AOTI_INPUTS_KEY,
        NEQUIP_AOTI_OUTPUTS_KEY,
        serialize_aoti_keys,
    )
    from nequip.utils.global_state import get_latest_global_state

    metadata = theirs.metadata | get_latest_global_state(only_metadata_related=True)
    metadata |= {
        NEQUIP_AOTI_INPUTS_KEY: serialize_aoti_keys(target["input"]),
        NEQUIP_AOTI_OUTPUTS_KEY: serialize_aoti_keys(target["output"]),
    }
    return {key: str(int(v)) if isinstance(v, bool) else str(v) for key, v in metadata.items()}


def example_data(model: str, device: str) -> dict[str, Any]:
    """One structure as the export traces it."""
    graph = one_graph(FRAME_ATOMS, MODELS[model]["r_max"]).to(device)
    return {
        "pos": graph.positions,
        "edge_index": graph.edge_index,
        "atom_types": graph.species,
        "cell": graph.cell,
        "edge_cell_shift": graph.edge_shift,
    }


if __name__ == "__main__":
    use_cache()
    compile_package(*sys.argv[1:])
