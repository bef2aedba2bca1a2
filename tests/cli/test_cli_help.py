"""`mlip VERB --help` shows the keys with what is said of them in conf/, and the groups of that verb alone."""

import re

from mlip.help import help_page


def keys_of(page):
    """Lines of the options by their words before the comment."""
    options = page.partition("Options,")[2].partition("Groups")[0]
    return dict(re.findall(r"^ *([\w.]+: ?\S*)  # (.*)$", options, re.MULTILINE))


def test_keys_have_their_comments():
    keys = keys_of(help_page("train", []))
    assert keys["num_features: 32"] == "one number, or one per l from 0 to l_max"
    assert keys["resume: auto"].startswith("auto: the same command goes on")
    assert "_target_" not in help_page("train", [])


def test_a_preset_has_those_of_what_it_is_based_on():
    plain, preset = (help_page("train", [f"model={name}"]) for name in ("allegro", "allegro_L"))
    key = "avg_num_neighbors: null"
    assert keys_of(preset)[key] == keys_of(plain)[key]
    assert "# Large: the published numbers" in preset


def test_only_groups_of_the_verb_are_shown():
    groups = help_page("eval", []).partition("Groups")[2]
    assert "engine: ase, lammps, torch  # ase now" in groups
    assert "protocol" not in groups
    assert "hydra/" not in groups


def test_a_choice_is_shown_with_its_keys():
    page = help_page("md", ["protocol=ladder"])
    assert "ladder now" in page
    assert "temperatures_K:  # or {start: 720, stop: 300, step: 10}" in page


def test_ones_own_files_are_among_them(tmp_path):
    (tmp_path / "protocol").mkdir()
    (tmp_path / "protocol" / "mine.yaml").write_text(
        "# My own.\nhold:\n  duration_ps: 3 # as long as I like\n"
    )
    page = help_page("md", ["protocol=mine"], [str(tmp_path)])
    assert "melt_quench, mine, npt" in page
    assert "protocol:  # My own." in page
    assert "duration_ps: 3  # as long as I like" in page


def test_a_comment_of_several_lines_stands_above_its_key():
    page = help_page("analyze", [])
    above = page[: page.index("\nanalysis:")].splitlines()
    assert above[-1].startswith("# ")
    assert "amorphisation_energy" in above[-1]
    assert max(map(len, page.partition("Options")[2].splitlines())) <= 118
