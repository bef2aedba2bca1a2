"""`mlip analyze` from trajectories to results.json, figures and report."""

import json
import re

import ase.io
import pytest
from cli.cli_process import fork_mlip

from md.analysis import load_frames

FLUORITE_DENSITY = 1.648  # Li2S at a = 5.7 A, g/cm^3


def analyze(folder, *overrides):
    """Run the command in a folder of its own."""
    return fork_mlip("analyze", *overrides, cwd=folder)


def results_of(run_dir):
    return json.loads((run_dir / "results.json").read_text())


def test_ladder_gives_diffusivities_a_barrier_and_a_report(tmp_path, ladder_run, true_diffusivity):
    done = analyze(tmp_path, f"trajectory={ladder_run}", "species=Li", "run_dir=out")
    assert done.code == 0, done.stderr
    results = results_of(tmp_path / "out")
    for temperature in (800, 600, 450):
        entry = results[f"diffusivity.rung_{temperature}K"]
        assert entry["unit"] == "cm^2/s"
        assert entry["temperature_K"] == temperature
        assert abs(entry["value"] - true_diffusivity(temperature)) < entry["error"]
        assert results[f"conductivity.rung_{temperature}K"]["unit"] == "S/cm"
    barrier = results["activation_energy"]
    assert abs(barrier["value"] - 0.2) < 2 * barrier["error"]
    assert results["density.rung_600K"]["value"] == pytest.approx(FLUORITE_DENSITY, abs=0.01)
    assert all({"value", "unit", "error", "method"} <= entry.keys() for entry in results.values())
    figures = tmp_path / "out" / "figures"
    assert {path.stem for path in figures.glob("*.png")} == {path.stem for path in figures.glob("*.csv")}
    assert {path.stem for path in figures.glob("*.png")} == {path.stem for path in figures.glob("*.svg")}
    assert {"msd_Li", "arrhenius_Li", "rdf", "structure", "protocol"} <= {
        path.stem for path in figures.iterdir()
    }
    report = (tmp_path / "out" / "report.html").read_text()
    assert not re.search(r'(src|href)="(?!data:|#)|@import', report)
    assert "<dt>versions</dt>" in report
    log = (tmp_path / "out" / "log.txt").read_text()
    assert "every 0.1 ps, 39.9 ps in all" in log
    assert "settle are ramps or settling and are left out" in log


def test_quench_leaves_the_ramp_out_bounds_the_glass_and_warns_of_langevin(tmp_path, quench_run):
    done = analyze(tmp_path, f"trajectory={quench_run}", "analysis=[diffusion]", "run_dir=out")
    assert done.code == 0, done.stderr
    results = results_of(tmp_path / "out")
    assert {"diffusivity.melt", "diffusivity.equilibrate"} <= results.keys()
    assert "diffusivity.quench" not in results
    glass = results["diffusivity.equilibrate"]
    assert glass["value"] is None
    assert glass["upper_bound"] > 0
    assert results["activation_energy"]["value"] is None
    assert "Langevin" in done.stderr
    report = (tmp_path / "out" / "report.html").read_text()
    assert "Molecular dynamics of Li64S32 (96 atoms): melt (NVT, 800 K); quench (NVT, 800 to 300 K)" in report
    assert "a Nosé-Hoover chain [1], Langevin dynamics" in report
    assert report.index("an upper bound, not a value") < report.index("<h2>Diffusion</h2>")


@pytest.mark.slow
def test_species_stored_often_give_the_same_diffusivity(tmp_path, often_run):
    found = {}
    for particles in ("all", "often"):
        words = [
            f"trajectory={often_run}",
            "analysis=[diffusion]",
            f"particles={particles}",
            f"run_dir={particles}",
        ]
        done = analyze(tmp_path, *words)
        assert done.code == 0, done.stderr
        found[particles] = results_of(tmp_path / particles)
    for name in ("diffusivity", "conductivity"):
        assert found["often"][name]["value"] == pytest.approx(found["all"][name]["value"], rel=1e-6)
        assert found["often"][name]["error"] == pytest.approx(found["all"][name]["error"], rel=1e-4)
    refused = analyze(tmp_path, f"trajectory={often_run}", "particles=often", "run_dir=refused")
    assert refused.code == 1
    assert "expected analysis=[diffusion]" in refused.stderr.splitlines()[-1]


@pytest.mark.slow
def test_foreign_files_give_the_same_diffusivity_as_ours(tmp_path, ladder_run):
    (_, frames, _) = load_frames(ladder_run)
    ase.io.write(tmp_path / "600K.traj", [frames.atoms(index) for index in range(frames.num_frames)])
    common = ["analysis=[diffusion]", "hop_distance_A=3.0"]
    said = ["timestep_fs=100", "temperature_K=600"]
    done = analyze(tmp_path, "trajectory=600K.traj", *common, *said, "run_dir=foreign")
    assert done.code == 0, done.stderr
    done = analyze(tmp_path, f"trajectory={ladder_run}", *common, "run_dir=ours")
    assert done.code == 0, done.stderr
    foreign = results_of(tmp_path / "foreign")["diffusivity"]
    ours = results_of(tmp_path / "ours")["diffusivity.rung_600K"]
    assert foreign["value"] == pytest.approx(ours["value"], rel=1e-4)
    assert foreign["error"] == pytest.approx(ours["error"], rel=1e-4)


@pytest.mark.slow
def test_transport_beyond_diffusion_of_one_run(tmp_path, often_run):
    words = ["analysis=[diffusion,collective,layers,hops,density_map]", "species=Li", "hop_distance_A=2.5"]
    words += ["planes=[0.5]", "regions={low:[0.1,0.45],high:[0.5,1.0]}", "gradients={Li:0.01}", "grid_A=1.0"]
    done = analyze(tmp_path, f"trajectory={often_run}", *words, "run_dir=out")
    assert done.code == 0, done.stderr
    results = results_of(tmp_path / "out")
    assert all({"value", "unit", "error", "method"} <= entry.keys() for entry in results.values())
    tracer, charge = results["diffusivity"], results["charge_diffusivity"]
    assert results["haven_ratio"]["value"] == pytest.approx(tracer["value"] / charge["value"])
    assert results["haven_ratio"]["frame"] == "framework"
    assert results["flux.Li"]["value"] == pytest.approx(-0.01 * results["onsager.Li-Li"]["value"])
    assert results["conductivity_collective"]["interval"][0] < results["conductivity_collective"]["value"]
    assert {"diffusivity_along.low.Li", "diffusivity_out.high.Li"} <= results.keys()
    assert {"diffusivity_across.0.5.Li", "net_flux.0.5.Li"} <= results.keys()
    assert {"hop_rate.Li", "non_gaussian.Li"} <= results.keys()
    assert results["occupied_volume.Li"]["files"] == ["density_Li.cube", "density_Li.xsf"]
    figures = tmp_path / "out" / "figures"
    assert {path.stem for path in figures.glob("*.png")} == {path.stem for path in figures.glob("*.csv")}
    assert {"onsager", "onsager_flux", "net_flux", "hops", "van_hove_Li", "density_Li"} <= {
        path.stem for path in figures.iterdir()
    }


@pytest.mark.slow
def test_replicas_and_glasses_share_a_fit(tmp_path, ladder_run):
    runs = f"trajectory=[{ladder_run},{ladder_run}]"  # one run, given as two
    done = analyze(tmp_path, runs, "analysis=[diffusion]", "species=Li", "hop_distance_A=2.5", "run_dir=out")
    assert done.code == 0, done.stderr
    results = results_of(tmp_path / "out")
    assert results["diffusivity_replicas.600K"]["num_replicas"] == 2
    barrier = results["activation_energy"]
    assert barrier["num_glasses"] == 2
    assert barrier["interval"][0] < 0.2 < barrier["interval"][1]
    room = results["conductivity_300K"]
    assert room["unit"] == "S/cm"
    assert room["interval"][0] < room["value"] < room["interval"][1]
    refused = analyze(tmp_path, runs, "glasses=[one]", "run_dir=refused")
    assert "expected a name for each" in refused.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["trajectory=missing.h5"], "found no file"),
        (["trajectory=frames.extxyz", "analysis=[magic]"], "expected some of protocol, structure, diffusion"),
        (["trajectory=frames.extxyz", "analysis=[diffusion]"], "timestep_fs="),
        (["trajectory=frames.extxyz", "timestep_fs=1", "species=Xe"], "found no Xe"),
        (["trajectory=frames.extxyz", "temperature_K=[300,400]"], "expected one for each"),
        (["trajectory=frames.extxyz", "directions=xw"], "expected some of x, y, z"),
        (["trajectory=frames.extxyz", "temperature_K=warm"], "expected one for each"),
        (["trajectory=frames.extxyz", "timestep_fs=soon"], "expected a number above zero"),
        (["trajectory=[frames.extxyz,other.extxyz]"], "expected the same species"),
        (["trajectory=broken.h5"], "broken.h5"),
        (["trajectory=frames.extxyz", "timestep_fs=100", "analysis=[layers]"], "planes=[0.5]"),
        (["trajectory=frames.extxyz", "timestep_fs=100", "analysis=[collective]"], "temperature_K="),
    ],
)
def test_bad_input_gets_one_line(tmp_path, ladder_run, overrides, message):
    (frames, *_) = load_frames(ladder_run)
    ase.io.write(tmp_path / "frames.extxyz", [frames.atoms(index) for index in range(5)])
    ase.io.write(tmp_path / "other.extxyz", frames.atoms(0)[:1])
    (tmp_path / "broken.h5").write_bytes(ladder_run.read_bytes()[:2000])
    done = analyze(tmp_path, *overrides)
    assert done.code == 1
    assert "Traceback" not in done.stderr
    assert message in done.stderr.strip().splitlines()[-1]


def test_crossings_of_one_anion_are_displacements_alone(tmp_path, often_run):
    words = ["analysis=[crossings]", "species=Li", "hop_distance_A=2.5", "lags_ps=[1,10]"]
    done = analyze(tmp_path, f"trajectory={often_run}", *words, "run_dir=out")
    assert done.code == 0, done.stderr
    results = results_of(tmp_path / "out")
    assert results.keys() == {"displacement.Li"}
    assert results["displacement.Li"]["lags_ps"] == pytest.approx([1.0, 10.0])
    assert (tmp_path / "out" / "figures" / "crossings_Li.svg").exists()
