"""Settings of energetics: those of the config are those of the class; what makes no sense is refused."""

from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from ase.calculators.lj import LennardJones

import mlip
from md.energetics.settings import EnergeticsSettings, open_calculator
from mlip.errors import ConfigError
from mlip.settings import build_settings

CONFIG = Path(mlip.__file__).parents[1] / "conf" / "analyze.yaml"


def test_the_config_says_the_defaults_of_the_class():
    written = yaml.safe_load(CONFIG.read_text())["energetics"]
    given = build_settings(EnergeticsSettings, written, "energetics")
    assert list(written) == [field.name for field in fields(EnergeticsSettings)]
    for name in written:
        default = getattr(EnergeticsSettings(), name)
        assert getattr(given, name) == (list(default) if isinstance(default, tuple) else default)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"relax_cell": "xy"}, r"energetics\.relax_cell=xy"),
        ({"vacuum_A": 0}, r"energetics\.vacuum_A=0"),
        ({"thickness_A": []}, r"energetics\.thickness_A=\[\]"),
        ({"planes": [[1, 1]]}, "three Miller indices"),
        ({"strian": 0.1}, "did you mean strain"),
        ({"max_index": 1.5}, "a whole number"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changed, message):
    with pytest.raises(ConfigError, match=message):
        build_settings(EnergeticsSettings, changed, "energetics")


def test_a_calculator_takes_its_arguments():
    made = open_calculator(None, "ase.calculators.lj.LennardJones", {"sigma": 3.4})
    assert isinstance(made, LennardJones)
    assert made.parameters.sigma == 3.4
    for potential, name in ((None, None), ("a.mlip", "ase.calculators.lj.LennardJones")):
        with pytest.raises(ConfigError, match="expected one of them"):
            open_calculator(potential, name)
    with pytest.raises(ConfigError, match="a calculator class of ASE"):
        open_calculator(None, "pathlib.Path")
