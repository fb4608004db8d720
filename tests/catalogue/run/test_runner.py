import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from http.client import HTTPConnection
from urllib.parse import urlsplit

import lsdb
import numpy as np
import pytest
from archive import archive_sources, write_archive

import xpfit
from xpfit import FitSettings, InputError, OutputError, read_catalogue
from xpfit.catalogue import parquet
from xpfit.catalogue.pipeline import Pipeline
from xpfit.catalogue.run import executor, manifest, work
from xpfit.catalogue.run.executor import attempt, executor_of, local_cluster
from xpfit.catalogue.run.manifest import RunDirectory
from xpfit.catalogue.run.runner import RunSettings, run_catalogue
from xpfit.cli import main
from xpfit.prepare import iterate_spectra, write_spectra
from xpfit.simulate import simulate_survey

N_STAR, CHUNK = 120, 25
QUIET = RunSettings(progress=False)


@pytest.fixture(scope="module")
def stores(absolute_model, tmp_path_factory):
    """A model, and stars in two files of prepared spectra of two kinds."""
    folder = tmp_path_factory.mktemp("stores")
    absolute_model.save(folder / "model.h5")
    spectra = simulate_survey(absolute_model, N_STAR, np.random.default_rng(3)).spectra
    write_spectra([spectra[:70]], folder / "a.h5")
    write_spectra([spectra[70:]], folder / "b.parquet")
    return folder, spectra


def run(stores, output, inputs=("a.h5", "b.parquet"), settings=QUIET, chunk=CHUNK, fit=None):
    folder, _ = stores
    paths = [folder / name for name in inputs]
    pipeline = Pipeline(xpfit.load_model(folder / "model.h5"), settings=fit or FitSettings())
    return run_catalogue(paths, output, pipeline, stars_per_chunk=chunk, settings=settings)


def checksums(directory):
    return (directory / manifest.CHECKSUMS).read_text()


@pytest.fixture(scope="module")
def undisturbed(stores, tmp_path_factory):
    directory = tmp_path_factory.mktemp("undisturbed") / "run"
    return directory, run(stores, directory)


def test_every_source_is_in_the_catalogue_once_with_its_own_fit(stores, undisturbed):
    directory, account = undisturbed
    _, spectra = stores
    table = read_catalogue(directory)
    np.testing.assert_array_equal(np.sort(table["gdr3_source_id"]), np.sort(spectra.source_id))
    assert account.n_fitted + account.n_flagged == N_STAR and account.n_refused == 0
    model = xpfit.load_model(stores[0] / "model.h5")
    row = {int(i): k for k, i in enumerate(table["gdr3_source_id"])}
    alone = model.fit(spectra[:30], progress=False)
    place = [row[int(i)] for i in spectra.source_id[:30]]
    np.testing.assert_allclose(table["stellar_params_est"][place], alone.parameters, rtol=1e-9)
    np.testing.assert_allclose(table["ra"][place], spectra.gaia["ra"][:30])


def test_what_is_left_is_the_catalogue_and_its_account(undisturbed):
    directory, account = undisturbed
    assert {p.name for p in directory.iterdir()} == {
        "run.json", "manifest.jsonl", "catalogue", "checksums.sha256", "account.json", ".lock",
    }  # fmt: skip
    written = json.loads((directory / "account.json").read_text())
    assert (written["n_fitted"], written["n_flagged"]) == (account.n_fitted, account.n_flagged)
    subprocess.run(
        ["sha256sum", "--check", "--quiet", "checksums.sha256"], cwd=directory, check=True
    )


def test_model_and_settings_are_recorded_in_every_file(stores, undisturbed):
    model = xpfit.load_model(stores[0] / "model.h5")
    for path in (undisturbed[0] / "catalogue").rglob("Npix=*.parquet"):
        meta = parquet.read(path).meta
        assert meta["MODELID"] == model.fingerprint
        assert json.loads(meta["SETTINGS"])["n_starts"] == 16


def test_a_finished_run_is_left_as_it_is(stores, undisturbed):
    directory, account = undisturbed
    before = {p: p.stat().st_mtime_ns for p in (directory / "catalogue").rglob("*.parquet")}
    assert run(stores, directory) == account
    assert before == {p: p.stat().st_mtime_ns for p in before}


def test_lsdb_opens_and_crossmatches_the_catalogue(undisturbed):
    catalogue = lsdb.open_catalog(undisturbed[0] / "catalogue")
    rows = catalogue.compute()
    assert len(rows) == N_STAR and len(catalogue) == N_STAR
    cone = catalogue.cone_search(rows["ra"].iloc[0], rows["dec"].iloc[0], 5.0).compute()
    assert rows["gdr3_source_id"].iloc[0] in set(cone["gdr3_source_id"])
    gaia = lsdb.from_dataframe(
        rows[["ra", "dec", "gdr3_source_id"]].rename(columns={"gdr3_source_id": "source_id"}),
        ra_column="ra", dec_column="dec",
    )  # fmt: skip
    matched = catalogue.crossmatch(
        gaia, radius_arcsec=1.0, suffixes=("_x", "_gaia"), suffix_method="overlapping_columns"
    ).compute()
    assert len(matched) == N_STAR
    assert (matched["gdr3_source_id"] == matched["source_id"]).all()


@pytest.mark.parametrize("n_done", [0, 1, 4, 6, 8])
def test_a_run_that_dies_after_any_step_is_resumed_to_the_same_bytes(
    stores, undisturbed, tmp_path, monkeypatch, n_done
):
    append, done = RunDirectory.append, []

    def dies(self, entry):
        if len(done) == n_done:
            raise KeyboardInterrupt
        done.append(entry)
        append(self, entry)

    monkeypatch.setattr(RunDirectory, "append", dies)
    with pytest.raises(KeyboardInterrupt):
        run(stores, tmp_path / "run")
    monkeypatch.setattr(RunDirectory, "append", append)
    assert run(stores, tmp_path / "run") == undisturbed[1]
    assert checksums(tmp_path / "run") == checksums(undisturbed[0])
    kinds = [entry["kind"] for entry in RunDirectory(tmp_path / "run").entries()]
    assert kinds.count("chunk") == 5  # nothing was done twice


def test_a_line_of_the_manifest_that_was_cut_short_is_done_again(stores, undisturbed, tmp_path):
    with_parts = RunSettings(progress=False, keep_parts=True)
    run(stores, tmp_path / "run", settings=with_parts)
    path = tmp_path / "run" / manifest.MANIFEST
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]) + lines[3][:40])
    leftover = tmp_path / "run" / "parts" / ".xpfit-123.part" / "000003-000.parquet"
    leftover.parent.mkdir()
    leftover.write_bytes(b"half a file")
    assert run(stores, tmp_path / "run", settings=with_parts) == undisturbed[1]
    assert checksums(tmp_path / "run") == checksums(undisturbed[0])
    assert not leftover.parent.exists()


def test_rows_of_a_chunk_that_are_gone_or_cut_short_are_made_again(
    stores, undisturbed, tmp_path, monkeypatch
):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr("xpfit.catalogue.run.runner._write_catalogue", stop)
        with pytest.raises(KeyboardInterrupt):
            run(stores, tmp_path / "run")
    first, second, *_ = sorted((tmp_path / "run" / "parts").glob("*.parquet"))
    first.unlink()
    second.write_bytes(second.read_bytes()[:-10])
    run(stores, tmp_path / "run")
    assert checksums(tmp_path / "run") == checksums(undisturbed[0])


def test_a_damaged_input_is_refused_with_its_reason_and_the_rest_are_fitted(stores, tmp_path):
    shutil.copy(stores[0] / "a.h5", tmp_path / "damaged.h5")
    os.truncate(tmp_path / "damaged.h5", 5000)
    (tmp_path / "bad.csv").write_text("source_id,flux\n1,2\n")
    inputs = (stores[0] / "a.h5", tmp_path / "damaged.h5", tmp_path / "bad.csv")
    account = run(stores, tmp_path / "run", inputs)
    assert account.n_fitted + account.n_flagged == 70
    assert [r.n_source for r in account.refused] == [None, None]
    assert "damaged.h5" in account.refused[0].reason and "bad.csv" in account.refused[1].reason
    assert "not be read of 2 files" in str(account)
    assert len(read_catalogue(tmp_path / "run")) == 70


def test_what_was_refused_is_tried_again_when_asked(stores, undisturbed, tmp_path, monkeypatch):
    table, calls = Pipeline.table, []

    def fails_on_b(pipeline, spectra, **options):
        calls.append(len(spectra))
        if spectra.source_id[0] == stores[1].source_id[70]:
            raise RuntimeError("cosmic ray")
        return table(pipeline, spectra, **options)

    monkeypatch.setattr(Pipeline, "table", fails_on_b)
    account = run(stores, tmp_path / "run")
    assert len(calls) == 4 + 3  # one chunk, three attempts
    assert account.n_refused == 25 and "cosmic ray" in str(account)
    assert account.n_fitted + account.n_flagged == N_STAR - 25
    monkeypatch.setattr(Pipeline, "table", table)
    assert run(stores, tmp_path / "run") == account
    again = replace(QUIET, retry_refused=True)
    assert run(stores, tmp_path / "run", settings=again) == undisturbed[1]
    assert checksums(tmp_path / "run") == checksums(undisturbed[0])


def test_nothing_that_could_be_fitted_is_an_error(stores, tmp_path):
    (tmp_path / "bad.csv").write_text("source_id,flux\n1,2\n")
    with pytest.raises(InputError, match=r"nothing could be fitted.*bad\.csv"):
        run(stores, tmp_path / "run", (tmp_path / "bad.csv",))


def test_two_runs_in_one_directory_are_refused(stores, tmp_path):
    directory = RunDirectory(tmp_path / "run")
    with directory.locked(), pytest.raises(OutputError, match="another run is active"):
        run(stores, tmp_path / "run")


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"chunk": 30}, "stars_per_chunk"),
        ({"fit": FitSettings(n_starts=3)}, "settings"),
        ({"inputs": ("a.h5",)}, "inputs"),
    ],
)
def test_another_run_in_its_directory_is_refused(stores, undisturbed, options, what):
    with pytest.raises(InputError, match=f"holds a run with other .*{what}"):
        run(stores, undisturbed[0], **options)


def test_directories_that_hold_other_things_are_refused(stores, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(OutputError, match=r"other files \(thesis\.tex\)"):
        run(stores, tmp_path)
    with pytest.raises(OutputError, match="not a directory"):
        run(stores, tmp_path / "thesis.tex" / "run")


def test_a_disk_that_fills_up_stops_the_run_which_is_resumed_later(
    stores, undisturbed, tmp_path, monkeypatch
):
    write, calls = parquet.write, []

    def full(table, path):
        calls.append(path)
        if len(calls) == 3:
            path.write_bytes(b"half")
            raise OSError(28, "No space left on device")
        write(table, path)

    monkeypatch.setattr(parquet, "write", full)
    with pytest.raises(OutputError, match="No space left on device"):
        run(stores, tmp_path / "run")
    assert len(calls) == 3  # nothing else was tried on the full disk
    assert not list((tmp_path / "run").rglob("*.part"))
    monkeypatch.setattr(parquet, "write", write)
    assert run(stores, tmp_path / "run") == undisturbed[1]
    assert checksums(tmp_path / "run") == checksums(undisturbed[0])


def test_inputs_are_checked_before_anything_is_written(stores, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.h5"):
        run(stores, tmp_path / "run", (tmp_path / "absent.h5",))
    with pytest.raises(InputError, match="given twice"):
        run(stores, tmp_path / "run", ("a.h5", "a.h5"))
    with pytest.raises(InputError, match="engine"):
        run(stores, tmp_path / "run", fit=FitSettings(engine="abacus"))
    with pytest.raises(InputError, match="retries must not be negative, got -1"):
        run(stores, tmp_path / "run", settings=replace(QUIET, retries=-1))
    assert not (tmp_path / "run").exists()


def test_continuous_files_are_run_as_they_are(stores, tmp_path, rng, monkeypatch):
    monkeypatch.setattr(work, "ROWS_PER_PART", 4)
    monkeypatch.setattr(xpfit.read.read_continuous, "__defaults__", (2, None, None))
    paths = []
    for k, style in enumerate(("csv (a, b)", "fits")):
        sources = archive_sources(9, rng)
        sources["source_id"] += 1000 * k
        paths.append(write_archive(sources, tmp_path / f"{k}", style))
    account = run(stores, tmp_path / "run", paths)
    assert account.n_fitted + account.n_flagged == 18
    table = read_catalogue(tmp_path / "run")
    spectra = [xpfit.read_spectra(path, space="sampled") for path in paths]
    ids = np.concatenate([s.source_id for s in spectra])
    np.testing.assert_array_equal(np.sort(table["gdr3_source_id"]), np.sort(ids))


def test_the_default_model_brings_its_confidence(sample_path, tmp_path, capsys):
    spectra = xpfit.read_spectra(sample_path, slice(0, 40), space=xpfit.load_model().space)
    write_spectra([spectra], tmp_path / "sample.h5")
    command = ["run", str(tmp_path / "sample.h5"), "--output-dir", str(tmp_path / "run"),
               "--workers", "1"]  # fmt: skip
    assert main(command) == 0
    said = capsys.readouterr()
    assert "40 sources" in said.out and "40/40" in said.err
    table = read_catalogue(tmp_path / "run")
    assert np.isfinite(table["teff_confidence"]).any() and np.any(table["quality_flags"] == 0)
    assert "ref_teff" not in table.colnames


def test_a_dask_scheduler_does_the_work(stores, undisturbed, tmp_path):
    before = dict(os.environ)
    with local_cluster(1) as cluster:
        settings = replace(QUIET, scheduler=cluster.scheduler_address)
        assert run(stores, tmp_path / "run", settings=settings) == undisturbed[1]
    assert checksums(tmp_path / "run") == checksums(undisturbed[0])
    assert dict(os.environ) == before


@pytest.mark.parametrize("dashboard", [False, True])
def test_a_local_cluster_shows_itself_only_when_asked_and_only_here(dashboard):
    with local_cluster(1, dashboard=dashboard) as cluster:
        page = urlsplit(cluster.dashboard_link)
        assert page.hostname == urlsplit(cluster.scheduler_address).hostname == "127.0.0.1"
        here = HTTPConnection(page.hostname, page.port)
        here.request("GET", "/status")
        assert here.getresponse().status == (200 if dashboard else 404)
        here.close()
        sockets = cluster.scheduler.http_server._sockets.values()
        assert {socket.getsockname()[0] for socket in sockets} == {"127.0.0.1"}


def test_rows_of_prepared_spectra_are_read_from_anywhere(stores):
    folder, spectra = stores
    for name, first in (("a.h5", 0), ("b.parquet", 70)):
        parts = list(iterate_spectra(folder / name, 7, range(5, 33)))
        ids = np.concatenate([part.source_id for part in parts])
        np.testing.assert_array_equal(ids, spectra.source_id[first + 5 : first + 33])


def test_what_cannot_be_written_is_not_tried_again():
    calls = []

    def fails(job, task):
        calls.append(task)
        raise OutputError("full")

    with pytest.raises(OutputError):
        attempt(fails, None, 1, 5)
    assert calls == [1]


def test_dask_knows_of_a_bounded_number_of_tasks_and_does_all(monkeypatch):
    from distributed import Client

    monkeypatch.setattr(executor, "TASKS_AHEAD", 3)
    begun, submit = [], Client.submit

    def counted(client, *arguments, **options):
        begun.append(arguments)
        return submit(client, *arguments, **options)

    monkeypatch.setattr(Client, "submit", counted)
    with executor_of(2) as execute:
        outcomes = execute(lambda job, task: 10 * task, None, range(1, 9), 0)
        first = next(outcomes)
        assert len(begun) == 1 + 3 + 1  # the job, what is known at first, one more for one done
        values = [first.value, *(outcome.value for outcome in outcomes)]
    assert sorted(values) == [10 * task for task in range(1, 9)]


def test_workers_that_cannot_be_had_are_explained():
    with pytest.raises(InputError, match="at least one worker"), executor_of(0):
        pass


@pytest.fixture(scope="module")
def command(stores):
    """Run the command line in a process of its own, which can be killed."""
    folder = stores[0]

    def start(output, workers=1):
        arguments = [
            "run", folder / "a.h5", folder / "b.parquet", "--model", folder / "model.h5",
            "--output-dir", output, "--chunk-size", CHUNK, "--workers", workers,
        ]  # fmt: skip
        return subprocess.Popen(
            [sys.executable, "-m", "xpfit", *map(str, arguments)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    return start


@pytest.fixture(scope="module")
def from_the_command_line(command, tmp_path_factory):
    """Checksums of an undisturbed run; other things are recorded in it than in Python's."""
    directory = tmp_path_factory.mktemp("commanded") / "run"
    process = command(directory)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    return checksums(directory)


def test_two_workers_give_the_same_bytes_even_if_killed(command, from_the_command_line, tmp_path):
    started = time.monotonic()
    process = command(tmp_path / "run", workers=2)
    while not list((tmp_path / "run").glob("parts/0*.parquet")) and process.poll() is None:
        time.sleep(0.05)
        assert time.monotonic() - started < 300
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process = command(tmp_path / "run", workers=2)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert checksums(tmp_path / "run") == from_the_command_line


@pytest.mark.slow
def test_killed_twenty_times_at_random_moments(command, from_the_command_line, tmp_path):
    """Moments from before the first chunk to after the last; time is counted from the first."""
    rng, n_killed = np.random.default_rng(1), 0
    for _ in range(200):
        process = command(tmp_path / "run", workers=1)
        try:
            process.wait(rng.uniform(1.0, 5.0))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            n_killed += 1
            continue
        assert process.returncode == 0
        assert checksums(tmp_path / "run") == from_the_command_line
        if n_killed >= 20:
            return
        shutil.rmtree(tmp_path / "run")
    pytest.fail(f"killed only {n_killed} times")


@pytest.mark.slow
def test_a_task_that_kills_its_workers_is_refused_and_the_rest_are_done():
    tasks = [1, 2, 3, 4]
    with executor_of(2) as execute:
        work = lambda job, task: os._exit(1) if task == 3 else 10 * task  # noqa: E731
        outcomes = {o.task: o for o in execute(work, None, tasks, 0)}
    assert [outcomes[task].value for task in tasks] == [10, 20, None, 40]
    assert "its workers died" in outcomes[3].reason


@pytest.mark.slow
def test_workers_killed_during_a_distributed_run(stores, undisturbed, tmp_path, monkeypatch):
    import psutil

    append, killed = RunDirectory.append, []

    def kills(self, entry):
        append(self, entry)
        workers = psutil.Process().children(recursive=True)
        if len(killed) < 2 and workers:
            workers[-1].kill()
            killed.append(entry)

    monkeypatch.setattr(RunDirectory, "append", kills)
    account = run(stores, tmp_path / "run", settings=replace(QUIET, n_workers=2))
    assert len(killed) == 2
    assert account == undisturbed[1]
    assert checksums(tmp_path / "run") == checksums(undisturbed[0])
