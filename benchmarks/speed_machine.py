"""Where `speed.py` measured: hardware, load, versions, commit."""

import os
import platform
import subprocess
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import torch

# Results of a commit are those of all later ones that leave this alone.
MEASURED = ("mlip", "benchmarks/*.py", "constraints.txt")
VERSIONS = ("vitreous", "torch", "nequip", "nequip-allegro", "openequivariance", "e3nn", "triton")


def describe_machine(device: str) -> dict[str, str]:
    """Date, commit, versions and hardware."""
    found = {d.metadata["Name"]: d.version for d in metadata.distributions()}
    hardware = f"{processor()}, {os.cpu_count()} cores, {total_memory() / 1e9:.0f} GB"
    if device == "cuda":
        hardware = f"{torch.cuda.get_device_name()}; {hardware}"
    return {
        "date": time.strftime("%Y-%m-%d"),
        "commit": commit(),
        "hardware": hardware,
        "load": f"{os.getloadavg()[0]:.1f} at the end",
        "versions": ", ".join(f"{name} {found[name]}" for name in VERSIONS if name in found),
        "python": platform.python_version(),
    }


def commit(measured: Sequence[str] = MEASURED) -> str:
    """The last commit that changed what is measured, "-dirty" if files differ from it."""
    git = ["git", "-C", str(Path(__file__).parent.parent)]
    commands = ["log", "-1", "--abbrev=12", "--format=%h"], ["status", "--porcelain", "--untracked-files=no"]
    last, changed = (
        subprocess.run([*git, *command, "--", *measured], capture_output=True, text=True, check=True).stdout
        for command in commands
    )
    return last.strip() + ("-dirty" if changed else "")


def memory_limit(device: str, gigabytes: float) -> float:
    """Bytes that one engine may take: what was asked for, or most of what there is."""
    total = torch.cuda.get_device_properties(0).total_memory if device == "cuda" else total_memory()
    return min(1e9 * gigabytes, 0.85 * total) if device == "cpu" else 0.9 * total


def total_memory() -> float:
    """Bytes of main memory."""
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def processor() -> str:
    """The model of the processor."""
    fields = [line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines()]
    names = [value.strip() for name, _, value in fields if name.strip() == "model name"]
    return names[0] if names else platform.processor()
