"""What a compiled library is made of, and the folder of the user's cache in which it is or will be."""

import hashlib
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

COMMON_FLAGS = ("-std=c++17", "-O2", "-fPIC", "-Wall", "-Wextra")


@dataclass(frozen=True)
class NativeLibrary:
    """A shared library that is compiled on the user's machine.

    Attributes:
        name: File name of the result without `.so`.
        title: What the log calls it.
        sources: C++ files, compiled in parallel; split them so that few include heavy headers.
        headers: Our own headers, found by their names alone: a change of any rebuilds.
        include_dirs: Folders of foreign headers, whose warnings are silenced.
        flags: Compiler flags beside the common ones, definitions among them.
        flags_of: Flags of single sources, by the stem of their name.
        link_flags: Linker flags.
        versions: Versions of what it is compiled against, e.g. ("torch 2.13.0",).
        quick: Built in seconds, one of many: its lines in the log are for debugging.
    """

    name: str
    title: str
    sources: tuple[Path, ...]
    headers: tuple[Path, ...] = ()
    include_dirs: tuple[Path, ...] = ()
    flags: tuple[str, ...] = ()
    flags_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    link_flags: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    quick: bool = False


def cache_folder() -> Path:
    """Root of the user's cache: `VITREOUS_CACHE`, else `~/.cache/vitreous`."""
    return Path(os.environ.get("VITREOUS_CACHE") or Path.home() / ".cache" / "vitreous").absolute()


def library_folder(library: NativeLibrary) -> Path:
    """Folder of the cache that holds this library, whether it is built yet or not.

    The name carries a hash of all that decides about the binary but the compiler, so that a machine without
    a compiler still finds what was built for it before. Where our own sources lie decides nothing: all
    environments and checkouts share what they build alike.

    Args:
        library: What is compiled.

    Returns:
        The folder; it need not exist.
    """
    digest = hashlib.sha256()
    flags = (*COMMON_FLAGS, *library.flags, *map(str, sorted(library.flags_of.items())), *library.link_flags)
    parts = (*flags, *library.versions, *map(str, library.include_dirs))
    digest.update("\n".join((*parts, platform.machine())).encode())
    for source in (*library.sources, *library.headers):
        digest.update(source.name.encode() + source.read_bytes())
    return cache_folder() / "native" / f"{library.name}-{digest.hexdigest()[:16]}"


def library_file(library: NativeLibrary) -> Path:
    """Path of the shared library in the cache, whether it is built yet or not."""
    return library_folder(library) / f"{library.name}.so"
