"""`mlip VERB --help`: every key with its default and its comment in conf/, and the groups of the verb."""

import re
import textwrap
from collections.abc import Iterator, Sequence
from importlib.resources import files
from itertools import takewhile
from pathlib import Path

import hydra
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf, open_dict

_WIDTH = 118
_BASE = re.compile(r" *- (\w+)(?: +#.*)?$")
_KEY = re.compile(r"(?P<indent> *)(?P<key>[\w.@/]+):.*?(?: +# (?P<comment>.*))?$")


def help_page(verb: str, overrides: Sequence[str], own: Sequence[str] = ()) -> str:
    """What `--help` prints.

    Args:
        verb: Of the command; `conf/<verb>.yaml` is its primary config.
        overrides: Of the command line; groups that are chosen are shown with their keys.
        own: Folders with YAML files of the user.

    Raises:
        HydraException: An override does not fit.
    """
    config, groups = _compose(verb, overrides, own)
    header = config.hydra.help.header.rstrip()
    chosen = {group: name for group, name in config.hydra.runtime.choices.items() if name and group in groups}
    with open_dict(config):
        del config["hydra"]
    comments = _comments("", verb, own)
    for group, name in chosen.items():
        comments |= _comments(group, name, own)
    parts = [header, "", "Options, with their defaults (KEY=VALUE on the command line changes one):", ""]
    parts += _commented(config, comments)
    if groups:
        parts += ["", "Groups (GROUP=NAME; --help after it shows its keys):", ""]
        parts += [
            f"{group}: {', '.join(names)}  # {chosen.get(group, 'none')} now"
            for group, names in groups.items()
        ]
    parts += [
        "",
        "Also: --multirun KEY=A,B runs a sweep; --config-dir DIR adds your own YAML files; "
        "--cfg job prints the config.",
    ]
    return "\n".join(parts) + "\n"


def _compose(
    verb: str, overrides: Sequence[str], own: Sequence[str]
) -> tuple[DictConfig, dict[str, list[str]]]:
    """The config with Hydra's own, and the groups that it is made of, each with the names to choose from."""
    folders = [Path(each).absolute() for each in own]
    search = f"hydra.searchpath=[{','.join(f'file://{folder}' for folder in folders)}]"
    with hydra.initialize_config_module("mlip.conf", version_base="1.3"):
        config = hydra.compose(verb, [*overrides, search], return_hydra_config=True)
        loader = GlobalHydra.instance().config_loader()
        groups = {}
        for group in sorted(config.hydra.runtime.choices):
            if not group.startswith("hydra/"):
                theirs = (file.stem for folder in folders for file in (folder / group).glob("*.yaml"))
                groups[group] = sorted({*loader.get_group_options(group), *theirs})
    return config, groups


def _comments(group: str, name: str, own: Sequence[str]) -> dict[str, str]:
    """Dotted keys of a YAML file, and of those that it is based on, and the comments beside them."""
    places = [*(Path(folder) for folder in own), files("mlip.conf")]
    sources = (place / group / f"{name}.yaml" for place in places)
    lines = next((source.read_text().splitlines() for source in sources if source.is_file()), [])
    found: dict[str, str] = {}
    for line in lines:
        base = _BASE.match(line)
        if base and base[1] != "_self_":
            found |= _comments(group, base[1], own)
    about = list(takewhile(lambda line: line.startswith("# "), lines))
    if group and about:
        found[group] = " ".join(line.removeprefix("# ") for line in about)
    beside = ((path, comment) for _, path, comment in _keys(lines) if comment)
    return found | {f"{group}.{path}".strip("."): comment for path, comment in beside}


def _commented(config: DictConfig, comments: dict[str, str]) -> list[str]:
    """Lines of the config as YAML, each with its comment: beside it, or above it where that is too long."""
    lines = OmegaConf.to_yaml(config).splitlines()
    paths = {number: path for number, path, _ in _keys(lines)}
    page = []
    for number, line in enumerate(lines):
        comment = comments.get(paths.get(number, ""))
        beside = f"{line}  # {comment}"
        if comment and len(beside) > _WIDTH:
            start = f"{line[: len(line) - len(line.lstrip())]}# "
            page += textwrap.wrap(comment, _WIDTH, initial_indent=start, subsequent_indent=start)
        if not line.lstrip().startswith("_target_:"):
            page.append(beside if comment and len(beside) <= _WIDTH else line)
    return page


def _keys(lines: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    """Number, dotted path and comment of each line of block YAML that begins with a key."""
    above: list[tuple[int, str]] = []
    for number, line in enumerate(lines):
        found = _KEY.match(line)
        if found:
            indent = len(found["indent"])
            above = [*(each for each in above if each[0] < indent), (indent, found["key"])]
            deeper = re.compile(rf" {{{indent + 1},}}#")
            more = takewhile(deeper.match, lines[number + 1 :])
            comment = [found["comment"], *(each.lstrip(" #") for each in more)] if found["comment"] else []
            yield number, ".".join(key for _, key in above), " ".join(comment)
