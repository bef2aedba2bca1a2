"""What is shipped is all there is: the package list, the package data, the container image."""

import re
import shlex
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SETUP = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
# Names of packages that lie elsewhere: conf/ is mlip.conf.
RENAMED = {folder: name for name, folder in SETUP["package-dir"].items()}
FOLDERS = ("mlip", "train", "md", "conf", "datasets")


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", *FOLDERS], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("no git checkout")
    return [Path(line) for line in listed.stdout.splitlines() if (ROOT / line).exists()]


def package_of(folder: Path) -> str:
    top, *rest = folder.parts
    return ".".join([RENAMED.get(top, top), *rest])


def test_packages_cover_all_code_and_configs():
    kinds = (".py", ".yaml")
    code = [file for file in tracked_files() if file.parts[0] != "datasets"]  # those are data
    needed = {package_of(file.parent) for file in code if file.suffix in kinds}
    assert sorted(needed - set(SETUP["packages"])) == []


def test_packages_listed_exist():
    folders = {name: name for name in SETUP["packages"]}
    for top, name in RENAMED.items():
        folders |= {p: p.replace(name, top, 1) for p in folders if p == name or p.startswith(f"{name}.")}
    assert [name for name, folder in folders.items() if not (ROOT / folder.replace(".", "/")).is_dir()] == []


def test_package_data_cover_all_other_files():
    patterns = [
        f"{name.replace('.', '/')}/{pattern}"
        for name, globs in SETUP["package-data"].items()
        for pattern in globs
    ]
    forgotten = []
    for file in tracked_files():
        name = "/".join([package_of(Path(file.parts[0])).replace(".", "/"), *file.parts[1:]])
        if file.suffix != ".py" and not any(
            fnmatch(name, pattern.replace("**/", "*")) for pattern in patterns
        ):
            forgotten.append(str(file))
    assert forgotten == []


def read_dockerfile() -> list[tuple[str, str]]:
    """Instructions of the Dockerfile and their arguments, comments left out and lines joined."""
    text = "\n".join(
        line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#")
    )
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def test_dockerfile_is_sound():
    instructions = read_dockerfile()
    known = {"ARG", "FROM", "RUN", "ENV", "WORKDIR", "COPY", "ENTRYPOINT", "CMD"}
    assert {name for name, _ in instructions} <= known
    assert ("ENTRYPOINT", '["mlip"]') in instructions
    assert instructions[-1] == ("CMD", '["doctor"]')
    assert re.match(r"ARG BASE=nvidia/cuda:\d+\.\d+\.\d+-devel-ubuntu\d\d\.04$", " ".join(instructions[0]))
    for _, command in (each for each in instructions if each[0] == "RUN"):
        checked = subprocess.run(["bash", "-n", "-c", command], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr


def test_dockerfile_copies_what_exists_and_all_that_is_needed():
    copied = [word for name, text in read_dockerfile() if name == "COPY" for word in shlex.split(text)[:-1]]
    assert [source for source in copied if not (ROOT / source).exists()] == []
    assert set(FOLDERS) <= set(copied)
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {f"!{source}" for source in copied} <= set(ignored)


def test_dockerfile_and_makefile_install_the_same_torch():
    makefile, dockerfile = (ROOT / "Makefile").read_text(), (ROOT / "Dockerfile").read_text()
    (pinned,) = re.findall(r"^TORCH \?= (\S+)$", makefile, re.MULTILINE)
    assert f"ARG TORCH={pinned}\n" in dockerfile
    assert f"\n{pinned}\n" in (ROOT / "constraints.txt").read_text()


def test_pre_commit_runs_what_make_lint_runs():
    hooks = [
        hook["entry"].split()[0]
        for repository in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
        for hook in repository["hooks"]
    ]
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe is not None
    assert sorted(set(hooks)) == sorted(set(re.findall(r"\$\(BIN\)/([\w-]+)", recipe[1])))
