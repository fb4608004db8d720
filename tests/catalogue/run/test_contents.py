import json
import os

import numpy as np
import pytest
from astropy.table import Table

from xpfit import InputError, read_catalogue
from xpfit.catalogue.pipeline import Pipeline
from xpfit.catalogue.run import manifest
from xpfit.catalogue.run.contents import BLOCK, N_BLOCKS, contents_of
from xpfit.catalogue.run.manifest import RunDirectory
from xpfit.catalogue.run.runner import RunSettings, run_catalogue
from xpfit.prepare import Additions, write_spectra
from xpfit.simulate import simulate_survey

QUIET = RunSettings(progress=False)


@pytest.fixture(scope="module")
def spectra(absolute_model):
    return simulate_survey(absolute_model, 24, np.random.default_rng(3)).spectra


@pytest.fixture
def run(absolute_model, spectra, tmp_path):
    """Function that runs on ``in.h5``, which holds the first twelve stars."""
    path = tmp_path / "in.h5"
    write_spectra([spectra[:12]], path)

    def start(settings=QUIET, inputs=(path,), **additions):
        pipeline = Pipeline(absolute_model, additions=Additions(zero_point=False, **additions))
        return run_catalogue(
            inputs, tmp_path / "run", pipeline, stars_per_chunk=4, settings=settings
        )

    return start


def interrupted(run, monkeypatch, kind="chunk", **options):
    """Have a run interrupted after the first entry of a kind."""
    append = RunDirectory.append

    def stop(self, entry):
        append(self, entry)
        if entry["kind"] == kind:
            raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(RunDirectory, "append", stop)
        with pytest.raises(KeyboardInterrupt):
            run(**options)


@pytest.mark.parametrize("kind", ["input", "chunk", "partition", "finished"])
def test_an_input_that_was_replaced_by_one_of_the_same_size_is_refused_by_name(
    run, spectra, tmp_path, monkeypatch, kind
):
    interrupted(run, monkeypatch, kind)
    times = (tmp_path / "in.h5").stat()
    write_spectra([spectra[12:]], tmp_path / "in.h5", overwrite=True)
    assert (tmp_path / "in.h5").stat().st_size == times.st_size
    os.utime(tmp_path / "in.h5", ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(InputError, match=r"in\.h5: not the file that the run in .* began with"):
        run()


def test_a_copy_of_the_same_contents_is_the_same_input(run, tmp_path, monkeypatch):
    interrupted(run, monkeypatch)
    content = (tmp_path / "in.h5").read_bytes()
    (tmp_path / "in.h5").unlink()
    (tmp_path / "in.h5").write_bytes(content)
    os.utime(tmp_path / "in.h5", ns=(1, 1))
    assert len(read_catalogue(tmp_path / "run") if run() else []) == 12
    times = [e["contents"]["mtime_ns"] for e in RunDirectory(tmp_path / "run").entries()
             if e["kind"] == "input"]  # fmt: skip
    assert len(times) == 2 and times[-1] == 1  # the whole need not be read another time


def test_a_change_between_the_sampled_blocks_is_seen_by_the_digest_of_the_whole(tmp_path):
    path = tmp_path / "large"
    content = bytearray(3 * N_BLOCKS * BLOCK)
    path.write_bytes(content)
    before = contents_of(None, path)
    assert before.is_unchanged(path) == before
    content[BLOCK + BLOCK // 2] = 1
    path.write_bytes(content)
    os.utime(path, ns=(5, 5))
    assert contents_of(None, path).sample == before.sample
    assert before.is_unchanged(path) is None


def test_an_input_that_changes_while_the_run_is_active_is_refused(run, spectra, tmp_path):
    fit, calls = Pipeline.table, []

    def replace_input(pipeline, part, **options):
        calls.append(len(part))
        if len(calls) == 2:
            write_spectra([spectra[12:]], tmp_path / "in.h5", overwrite=True)
        return fit(pipeline, part, **options)

    with pytest.MonkeyPatch.context() as context:
        context.setattr(Pipeline, "table", replace_input)
        with pytest.raises(InputError, match=r"in\.h5: not the file"):
            run()
    with pytest.raises(InputError, match=r"in\.h5: not the file"):
        run()


@pytest.mark.filterwarnings("ignore:.*1 of 12 stars found")
@pytest.mark.parametrize("name", ["photometry", "astrometry"])
def test_a_joined_table_with_other_values_is_refused_by_name(run, spectra, monkeypatch, name):
    columns = {"j_m": [9.0], "j_msigcom": [0.02], "parallax": [1.0], "parallax_error": [0.1]}
    table = Table({"source_id": spectra.source_id[:1], **columns})
    other = table.copy()
    other["j_m" if name == "photometry" else "parallax"] += 0.5
    interrupted(run, monkeypatch, **{name: table})
    with pytest.raises(InputError, match=f"holds a run with other table of {name}"):
        run(**{name: other})
    assert run(**{name: table.copy()}).n_refused == 0


def as_earlier_versions_wrote_it(directory):
    """Take the contents of inputs and tables out of a run's record."""
    path = directory / manifest.REQUEST
    request = json.loads(path.read_text())
    request = {k: v for k, v in request.items() if not k.startswith("table of")}
    request["inputs"] = [[name, os.stat(name).st_size] for name in request["inputs"]]
    path.write_text(json.dumps(request))
    entries = RunDirectory(directory).entries()
    (directory / manifest.MANIFEST).write_text(
        "".join(json.dumps(e) + "\n" for e in entries if e["kind"] != "input")
    )


def test_a_run_of_an_earlier_version_is_resumed_unless_an_input_is_newer(
    run, tmp_path, monkeypatch
):
    interrupted(run, monkeypatch)
    as_earlier_versions_wrote_it(tmp_path / "run")
    later = (tmp_path / "run" / manifest.REQUEST).stat().st_mtime_ns + 10**9
    before = (tmp_path / "in.h5").stat().st_mtime_ns
    os.utime(tmp_path / "in.h5", ns=(later, later))
    with pytest.raises(InputError, match=r"in\.h5: not the file"):
        run()
    os.utime(tmp_path / "in.h5", ns=(before, before))
    assert run().n_fitted + run().n_flagged == 12
    kinds = [entry["kind"] for entry in RunDirectory(tmp_path / "run").entries()]
    assert kinds.count("input") == 1


def test_a_refused_file_may_be_replaced_by_a_good_one_when_it_is_tried_again(
    run, spectra, tmp_path
):
    bad = tmp_path / "bad.csv"
    bad.write_text("source_id,flux\n1,2\n")
    inputs = (tmp_path / "in.h5", bad)
    assert len(run(inputs=inputs).refused) == 1
    write_spectra([spectra[12:14]], tmp_path / "good.h5")
    (tmp_path / "good.h5").replace(bad)
    with pytest.raises(InputError, match=r"bad\.csv: not the file"):
        run(inputs=inputs)
    again = RunSettings(progress=False, retry_refused=True)
    assert not run(settings=again, inputs=inputs).refused
    assert len(read_catalogue(tmp_path / "run")) == 14


@pytest.mark.parametrize(
    "line", ["[]", "{}", "3", '{"kind": "chunk"}', '{"kind": "chunk", "index": 99, "result": {}}',
             '{"kind": "refused", "index": 99, "reason": "?"}', '{"kind": "chunk", "index": 0, '
             '"result": {"parts": [{}], "n_fitted": 1, "n_flagged": 1}}', "[" * 100_000],
)  # fmt: skip
def test_a_manifest_of_another_kind_is_one_error_that_names_it(run, tmp_path, line):
    run()
    (tmp_path / "run" / manifest.MANIFEST).write_text(line + "\n")
    with pytest.raises(InputError, match=r"manifest\.jsonl.*start in another directory"):
        run()


@pytest.mark.parametrize("text", ["[]", "null", "7", "{", '{"inputs": 3}', "[" * 100_000])
def test_a_request_of_another_kind_is_one_error_that_names_it(run, tmp_path, text):
    run()
    (tmp_path / "run" / manifest.REQUEST).write_text(text)
    with pytest.raises(InputError, match=r"another directory|holds a run with other"):
        run()
