"""One loop for all commands: the same rows and the same provenance, however it is called."""

import json
import pickle

import numpy as np
import pytest
from astropy.table import Table

import xpfit
from xpfit import InputError, read_catalogue
from xpfit.catalogue.pipeline import MAX_INPUTS_NAMED, Pipeline, find_stars, provenance
from xpfit.cli import main
from xpfit.companion import load_companion
from xpfit.prepare import Additions, write_spectra

KINDS = ("uncertain", "svae", "gaianet")


@pytest.fixture(scope="module")
def paths(companion_path):
    return [companion_path.with_name(f"companion_{kind}.h5") for kind in KINDS]


@pytest.fixture(scope="module")
def spectra(sample_path):
    return xpfit.read_spectra(sample_path, slice(0, 60), model=xpfit.load_model())


@pytest.fixture(scope="module")
def store(spectra, tmp_path_factory):
    path = tmp_path_factory.mktemp("pipeline") / "stars.h5"
    write_spectra([spectra], path)
    return path


@pytest.fixture(scope="module")
def catalogues(store, paths):
    """The same stars by `fit`, and by `run` in chunks of 25, in the order of their ids."""
    options = [part for path in paths for part in ("--companion", str(path))]
    options += ["--start-from", str(paths[0]), "--quiet"]
    by_fit, by_run = store.with_name("fitted.h5"), store.with_name("run")
    assert main(["fit", str(store), "--output", str(by_fit), *options]) == 0
    arguments = ["--output-dir", str(by_run), "--chunk-size", "25", "--workers", "1"]
    assert main(["run", str(store), *arguments, *options]) == 0
    tables = [read_catalogue(path) for path in (by_fit, by_run)]
    for table in tables:
        table.sort("gdr3_source_id")
    return tables


def assert_same_column(column, other, name):
    """Gaia Net computes in single precision, where the last bits depend on the batch; a gradient is
    zero but for rounding."""
    tolerance = {"gaianet": 1e-4, "gradient": 1e-7}.get(name.partition("_")[0], 1e-9)
    np.testing.assert_allclose(column, other, rtol=tolerance, atol=tolerance, err_msg=name)


def test_fit_and_run_give_the_same_starts_estimates_and_parameters(catalogues):
    by_fit, by_run = catalogues
    drawn_at_random = ["uncertain_teff", "uncertain_alpha_m_err", "gaianet_logg", "gaianet_feh_err"]
    assert set(drawn_at_random) < set(by_run.colnames)
    reference = {name for name in by_fit.colnames if name.startswith("ref_")}
    assert set(by_fit.colnames) - reference == set(by_run.colnames) - {"_healpix_29"}
    for name in set(by_run.colnames) - {"_healpix_29"}:
        assert_same_column(by_run[name], by_fit[name], name)
    np.testing.assert_array_equal(by_run["n_iterations"], by_fit["n_iterations"])


def test_fit_and_run_record_the_same_provenance(catalogues, paths):
    by_fit, by_run = catalogues
    assert dict(by_fit.meta) == dict(by_run.meta)
    assert by_fit.meta["MODEL"] == "default" and by_fit.meta["INPUT"] == "stars.h5"
    assert json.loads(by_fit.meta["TABLES"]) == {} and by_fit.meta["ZEROPT"] == "True"
    assert by_fit.meta["STARTS"] == paths[0].name
    assert by_fit.meta["COMPANIO"] == ",".join(path.name for path in paths)
    assert json.loads(by_fit.meta["SETTINGS"])["n_starts"] == 16


def test_a_row_does_not_depend_on_the_other_stars(spectra, paths):
    companions = tuple(load_companion(path) for path in paths)
    pipeline = Pipeline(xpfit.load_model(), start_from=companions[0], companions=companions)
    table = pipeline.table(spectra[:12])
    alone = pipeline.table(spectra[[7]])
    for name in alone.colnames:
        assert_same_column(alone[name][0], table[name][7], name)


def test_joined_tables_are_recorded_by_name():
    found = provenance(
        ["dir/a.csv.gz"],
        model="models/m.h5",
        tables={"photometry": "x/2mass.fits", "astrometry": None},
        zero_point=False,
    )
    assert found == {
        "MODEL": "m.h5",
        "INPUT": "a.csv.gz",
        "TABLES": '{"photometry": "2mass.fits"}',
        "ZEROPT": "False",
        "STARTS": "none",
        "COMPANIO": "none",
    }
    assert all(len(name) <= 8 for name in found)  # as FITS keywords are


def test_of_many_inputs_the_first_are_named():
    names = provenance([f"{i}.csv" for i in range(MAX_INPUTS_NAMED + 5)])["INPUT"].split(",")
    assert len(names) == MAX_INPUTS_NAMED + 1 and names[-1] == "and 5 more"


def test_tables_are_joined_to_spectra_of_files(store, spectra):
    model = xpfit.load_model()
    table = {"source_id": spectra.source_id, "parallax": np.full(60, 2.0)}
    table |= {"parallax_error": np.full(60, 0.1)}
    additions = Additions(astrometry=Table(table), zero_point=False)
    (part,) = Pipeline(model, additions=additions).spectra(store)
    np.testing.assert_allclose(part.parallax, 2.0)
    star = Pipeline(model, additions=additions).stars([store], spectra.source_id[[3]])
    assert star.source_id == spectra.source_id[3] and star.parallax_err == 0.1


def test_stars_that_are_in_no_file_are_named(store, spectra):
    found, missing = find_stars([spectra[:5], spectra[5:]], [17, int(spectra.source_id[6])])
    assert [part.source_id.tolist() for part in found] == [[spectra.source_id[6]]]
    assert missing == [17]
    with pytest.raises(InputError, match="source 17 is in none of the files"):
        Pipeline(xpfit.load_model()).stars([store], [17])


def test_two_companions_of_one_kind_are_refused(paths):
    companion = load_companion(paths[0])
    with pytest.raises(InputError, match="one of each"):
        Pipeline(xpfit.load_model(), companions=(companion, companion))


def test_workers_get_the_pipeline_without_its_fitter(spectra):
    pipeline = Pipeline(xpfit.load_model())
    pipeline.fit(spectra[:2])
    sent = pickle.loads(pickle.dumps(pipeline))
    assert "fitter" in vars(pipeline) and "fitter" not in vars(sent)
    np.testing.assert_array_equal(
        sent.fit(spectra[:2]).parameters, pipeline.fit(spectra[:2]).parameters
    )
