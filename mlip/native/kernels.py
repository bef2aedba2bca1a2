"""Compiled kernels: the torch operators, built once, and the generated arithmetic of each model."""

import hashlib
from pathlib import Path
from tempfile import NamedTemporaryFile

from mlip.native.library import NativeLibrary, cache_folder
from mlip.native.packages import package_version, torch_include_dirs, torch_link_flags

KERNEL_SOURCES = Path(__file__).parent / "kernels"
OPERATOR_SOURCES = Path(__file__).parent / "operators"
# No -ffast-math: linked in, it would change how the whole process rounds, and hide numbers that are none.
FAST = (
    "-O3",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-signed-zeros",
    "-fassociative-math",
    "-ffp-contract=fast",
)
# What a deployed file carries kernels for: AVX-512, AVX2 with FMA, and what every processor since 2009 has.
X86_TARGETS = ("x86-64-v4", "x86-64-v3", "x86-64-v2")


def operators() -> NativeLibrary:
    """Describe the library that registers the operators with torch.

    Raises:
        ConfigError: torch is not installed.
    """
    return NativeLibrary(
        name="vitreous_operators",
        title="the compiled operators",
        sources=tuple(sorted(OPERATOR_SOURCES.glob("*.cpp"))),
        headers=(*sorted(OPERATOR_SOURCES.glob("*.h")), *sorted(KERNEL_SOURCES.glob("*_kernel.h"))),
        include_dirs=torch_include_dirs(),
        # OpenMP, as torch's headers are compiled for; the threads are torch's.
        flags=("-fopenmp",),
        flags_of={"registry": (f'-DVITREOUS_INTERFACE="{interface()}"',)},
        link_flags=torch_link_flags(),
        versions=(f"torch {package_version('torch', 'pip install torch')}",),
    )


def interface() -> str:
    """Hash of how operators call kernels: those of a deployed file fit the operators of the same hash."""
    digest = hashlib.sha256()
    for header in sorted(KERNEL_SOURCES.glob("*_kernel.h")):
        digest.update(header.read_bytes())
    return digest.hexdigest()[:16]


def generated(source: str, real: str, target: str) -> NativeLibrary:
    """Describe the library of one kernel, and write its source into the cache.

    Args:
        source: What `mlip.nn.kernels` generated.
        real: `float` or `double`.
        target: The instructions it may use, as the operator `cpu_targets` names them.
    """
    instructions = (f"-march={target}",) if target.startswith("x86-64") else ()
    return NativeLibrary(
        name="vitreous_kernel",
        title="a kernel",
        sources=(write_source(source, ".cpp"),),
        headers=tuple(sorted(KERNEL_SOURCES.glob("*.h"))),
        flags=(*FAST, *instructions, f"-DReal={real}"),
        quick=True,
    )


def write_source(source: str, suffix: str) -> Path:
    """Write generated source into the cache unless it is there; the file, named by what it holds.

    Args:
        source: The text.
        suffix: Of the file, with its dot.
    """
    folder = cache_folder() / "native" / "generated"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"kernel-{hashlib.sha256(source.encode()).hexdigest()[:16]}{suffix}"
    if not file.exists():
        with NamedTemporaryFile("w", dir=folder, delete=False) as unfinished:  # others may write it, too
            unfinished.write(source)
        Path(unfinished.name).replace(file)
    return file
