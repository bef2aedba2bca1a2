"""Compiles C++ at first use into the user's cache: once, under a lock, in the open (a line in the log)."""

import fcntl
import logging
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from mlip.errors import ConfigError
from mlip.native.library import COMMON_FLAGS, NativeLibrary, cache_folder, library_file, library_folder

logger = logging.getLogger(__name__)


def ensure_built(library: NativeLibrary) -> Path:
    """Compile a library unless the cache has it already.

    Several processes may ask at once: one compiles, the others wait for it.

    Args:
        library: What to compile.

    Returns:
        Path of the shared library.

    Raises:
        ConfigError: There is no compiler, the cache cannot be written, or the compilation failed.
    """
    target = library_file(library)
    compiler = find_compiler()
    if is_current(library, compiler):
        return target
    if compiler is None:
        raise ConfigError(
            f"no C++ compiler found to build {library.title}; expected g++ (or CXX=...); "
            "install it: apt-get install g++, or conda install -c conda-forge gxx"
        )
    with locked(library_folder(library)):
        if not is_current(library, compiler):
            build(library, compiler)
    return target


def find_compiler() -> Path | None:
    """The C++ compiler: `CXX` if set, else g++, else c++; None if there is none."""
    wanted = os.environ.get("CXX")
    candidates = [wanted] if wanted else ["g++", "c++"]
    found = next(filter(None, map(shutil.which, candidates)), None)
    return Path(found) if found else None


def compiler_version(compiler: Path) -> str:
    """First line of `g++ --version`."""
    result = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False)
    return result.stdout.partition("\n")[0]


def is_current(library: NativeLibrary, compiler: Path | None) -> bool:
    """Whether the cache holds the library as this compiler makes it, or as any did if there is none now."""
    stamp = library_folder(library) / "compiler.txt"
    if not library_file(library).exists() or not stamp.exists():
        return False
    return compiler is None or stamp.read_text() == compiler_version(compiler)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make a folder and hold its lock; waits while another process builds there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise ConfigError(
            f"cannot write the cache {cache_folder()} ({error.strerror}); "
            "set VITREOUS_CACHE to a folder that you may write"
        ) from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build(library: NativeLibrary, compiler: Path) -> None:
    """Compile and link; the result appears in one move, so that nobody ever loads half a file."""
    level = logging.DEBUG if library.quick else logging.INFO
    logger.log(level, "building %s, once, takes a minute (into %s)", library.title, library_folder(library))
    start = time.monotonic()
    target = library_file(library)
    log = target.with_name("build.log")
    log.write_text("")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="build-") as scratch:
        objects = [Path(scratch) / f"{source.stem}.o" for source in library.sources]
        commands = [
            compile_command(library, compiler, source, result)
            for source, result in zip(library.sources, objects, strict=True)
        ]
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            list(pool.map(lambda command: run_logged(command, log, library), commands))
        result = Path(scratch) / target.name
        link = [str(compiler), "-shared", *map(str, objects), "-o", str(result), *library.link_flags]
        run_logged(link, log, library)
        result.replace(target)
    target.with_name("compiler.txt").write_text(compiler_version(compiler))
    logger.log(level, "built %s in %.0f s", library.title, time.monotonic() - start)


def compile_command(library: NativeLibrary, compiler: Path, source: Path, result: Path) -> list[str]:
    """The command that makes an object file of one source."""
    own = sorted({f"-I{header.parent}" for header in library.headers})
    includes = [*own, *(word for folder in library.include_dirs for word in ("-isystem", str(folder)))]
    # Shorten __FILE__, which LAMMPS prints with every error.
    names = f"-fmacro-prefix-map={source.parent}/=src/"
    return [
        str(compiler),
        *COMMON_FLAGS,
        *library.flags,
        *library.flags_of.get(source.stem, ()),
        names,
        *includes,
        "-c",
        str(source),
        "-o",
        str(result),
    ]


def run_logged(command: list[str], log: Path, library: NativeLibrary) -> None:
    """Run a compiler command and append what it says to the log file of the build.

    Raises:
        ConfigError: The command failed; the message holds the compiler's first error.
    """
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    with log.open("a") as file:
        file.write(f"{' '.join(command)}\n{result.stdout}{result.stderr}")
    if result.returncode != 0:
        errors = [line for line in result.stderr.splitlines() if "error" in line]
        reason = errors[0] if errors else f"exit code {result.returncode}"
        raise ConfigError(f"cannot build {library.title}: {reason}; the whole log is in {log}")
