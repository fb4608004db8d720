"""Downloads of another release than DR3, and of epoch spectra, against hand-made answers."""

import hashlib
import zipfile

import h5py
import numpy as np
import pytest
from archive import (
    N_SOURCE,
    FakeGaia,
    archive_sources,
    epoch_csv,
    epoch_table,
    epoch_zip,
    epochs_of,
)  # fmt: skip
from astropy.table import Table

from xpfit import InputError
from xpfit.cli import main
from xpfit.errors import ArchiveError
from xpfit.read import read_continuous, read_table
from xpfit.read.archive import ArchiveClient, Download
from xpfit.read.archive.queries import allwise, gaia_source, two_mass
from xpfit.releases import DR3, DR4

NEW = ("MEAN_SPECTRUM_XP", "DATAMODEL_GAIA")
OLD = ("XP_CONTINUOUS", "RAW")
EPOCHS = ("EPOCH_SPECTRUM_XP", "DATAMODEL_GAIA")


@pytest.fixture
def gaia(rng):
    gaia = FakeGaia(rng, DR4)
    gaia.understood = {NEW, EPOCHS}
    return gaia


@pytest.fixture
def naps():
    return []


def download(gaia, directory, naps, release=DR4, **options):
    client = ArchiveClient(gaia, release=release, attempts=3, sleep=naps.append)
    return Download(directory, client, **options)


def statuses(accounts, name):
    return [str(value) for value in accounts[name]]


def received(n=N_SOURCE):
    """Status of spectra of the fake archive."""
    return ["absent" if i in (2, 5) else "received" for i in range(n)]


@pytest.mark.parametrize(
    ("query", "digest"),
    [
        (gaia_source, "be84a1373d7ea245c68a549505c1db0b6597205b5fc7a84ec8273fa642c40cb6"),
        (two_mass, "09dec86ee678169006b6cf82af8f41742b509b99e13354da5faab33800781e04"),
        (allwise, "0898c6dc82a4da6342d8c66c517f8c3de43c366fabdcba82973f61212dd744a1"),
    ],
)
def test_queries_of_dr3_are_byte_for_byte_those_of_earlier_versions(query, digest):
    assert hashlib.sha256(query(DR3).encode()).hexdigest() == digest


def test_queries_of_dr4_have_its_columns_and_tables():
    query = gaia_source(DR4)
    for name in (" g.astrometric_params,", "g.tentative_parallax_bias,", "gaiadr4.gaia_source"):
        assert name in query
    for name in ("params_solved", "excess_factor", "excess_noise_sig", "spurious", "spur."):
        assert name not in query
    assert all("gaiadr3" not in q(DR4) for q in (gaia_source, two_mass, allwise))
    assert ",\nFROM" not in query and ", ," not in query and "\n\n" not in query


@pytest.mark.parametrize("understood", [NEW, OLD, (NEW[0], OLD[1])])
@pytest.mark.parametrize(
    "refusal",
    [
        OSError("Error 400:\nbad value"),
        OSError("Not Found"),
        OSError("Error 500:\nUnknown RETRIEVAL_TYPE"),
        ValueError("Invalid mandatory argument 'retrieval_type'. Found X, expected: 'ALL' or"),
    ],
)
def test_names_are_tried_until_they_are_understood_and_remembered(
    gaia, tmp_path, naps, understood, refusal
):
    gaia.understood, gaia.refusal = {understood}, refusal
    job = download(gaia, tmp_path, naps, batch_size=4)
    job.run(gaia.ids, progress=False)
    assert statuses(job.accounts, "spectrum") == received()
    assert naps == [1.0]  # between the batches: refusals are not repeated
    assert gaia.tried.count(understood) == 2 and gaia.tried[-1] == understood
    assert len(set(gaia.tried)) == len(gaia.tried) - 1
    assert f"requested as {', '.join(understood)}" in job.summary()


def test_names_that_none_understands_are_all_told(gaia, tmp_path, naps):
    gaia.understood = set()
    job = download(gaia, tmp_path, naps)
    job.run(gaia.ids, progress=False)
    assert statuses(job.accounts, "spectrum").count("failed") == 5 and naps == []
    assert statuses(job.accounts, "gaia_source").count("received") == 6
    with pytest.raises(ArchiveError) as error:
        job.client.continuous_spectra(gaia.ids)
    for name in ("Gaia DR4", *NEW, *OLD, "Invalid value of RETRIEVAL_TYPE"):
        assert name in str(error.value) and name in job.summary()


def test_a_failure_is_repeated_and_not_taken_for_an_unknown_name(gaia, tmp_path, naps):
    gaia.broken = {"spectra"}
    job = download(gaia, tmp_path, naps)
    job.run(gaia.ids, progress=False)
    assert naps == [10.0, 20.0] and set(gaia.tried) == {NEW}
    assert "500 Internal Server Error" in job.summary()
    gaia.broken = set()
    again = download(gaia, tmp_path, naps)
    again.run(gaia.ids, progress=False)
    assert again.n_failed == 0


def test_an_empty_answer_does_not_settle_the_name(gaia, tmp_path, naps):
    gaia.understood = {NEW, OLD}
    answer = gaia.load_data
    gaia.load_data = lambda ids, **options: (
        {} if options["retrieval_type"] == NEW[0] else answer(ids, **options)
    )
    job = download(gaia, tmp_path, naps)
    job.run(gaia.ids, progress=False)
    assert statuses(job.accounts, "spectrum") == received()


def test_sampled_spectra_beside_the_coefficients_are_left_out(gaia, tmp_path, naps):
    answer = gaia.load_data

    class Sampled:
        array = np.array([(1, 2.0)], dtype=[("SOURCE_ID", "i8"), ("flux", "f8")])

    gaia.load_data = lambda ids, **options: {
        "SAMPLED.xml": [Sampled], **answer(ids, **options)
    }  # fmt: skip
    job = download(gaia, tmp_path, naps)
    job.run(gaia.ids, progress=False)
    assert statuses(job.accounts, "spectrum") == received()


@pytest.mark.parametrize("upper_case", [False, True])
def test_spectra_of_dr4_are_read_back_as_they_were_with_their_release(
    rng, tmp_path, naps, upper_case
):
    gaia = FakeGaia(rng, DR4, 51, 55)
    gaia.upper_case, gaia.dropped = upper_case, {int(gaia.ids[3])}
    job = download(gaia, tmp_path, naps)
    job.run(gaia.ids, progress=False)
    assert job.n_failed == 0
    (table,) = read_continuous(tmp_path / "spectra" / "batch_0000.h5")
    assert table.meta["release"] == "DR4"
    rows = np.delete(np.arange(N_SOURCE), [2, 5])
    np.testing.assert_array_equal(table["source_id"], gaia.ids[rows])
    for name in ("bp_coefficients", "rp_coefficients", "bp_coefficient_correlations"):
        np.testing.assert_array_equal(table[name], np.asarray(gaia.spectra[name])[rows])
    sources = read_table(tmp_path / "gaia_source.fits")
    assert sources.meta["RELEASE"] == "DR4" and "tentative_parallax_bias" in sources.colnames
    assert "norm_dg" not in read_table(tmp_path / "photometry.fits").colnames


def test_releases_are_recorded_and_not_mixed_in_a_directory(gaia, rng, tmp_path, naps):
    download(gaia, tmp_path, naps).run(gaia.ids, progress=False)
    assert read_table(tmp_path / "accounts.ecsv").meta["release"] == "DR4"
    with h5py.File(tmp_path / "spectra" / "batch_0000.h5") as file:
        assert file.attrs["release"] == "DR4"
    other = FakeGaia(rng)
    with pytest.raises(InputError, match=r"holds a download of Gaia DR4, not of DR3.*--release"):
        download(other, tmp_path, naps, release=DR3)
    (tmp_path / "accounts.ecsv").unlink()
    with pytest.raises(InputError, match="of Gaia DR4, not of DR3"):
        download(other, tmp_path, naps, release=DR3)
    assert other.requests == []


def test_accounts_without_a_release_are_those_of_dr3(rng, tmp_path, naps):
    gaia = FakeGaia(rng)
    download(gaia, tmp_path, naps, release=DR3).run(gaia.ids, progress=False)
    path = tmp_path / "accounts.ecsv"
    accounts = Table.read(path)
    accounts.meta.clear()
    accounts.write(path, overwrite=True)
    with pytest.raises(InputError, match="of Gaia DR3, not of DR4"):
        download(gaia, tmp_path, naps)
    assert download(gaia, tmp_path, naps, release=DR3).n_failed == 0


def test_dr3_has_no_epoch_spectra(rng, tmp_path, naps):
    with pytest.raises(InputError, match="Gaia DR3 has no epoch XP spectra"):
        download(FakeGaia(rng), tmp_path, naps, release=DR3, epochs=True)
    with pytest.raises(InputError, match="Gaia DR3 has no epoch XP spectra"):
        ArchiveClient(FakeGaia(rng)).epoch_spectra(np.array([1]))


def test_epochs_in_tables_are_written_whole(gaia, tmp_path, naps):
    job = download(gaia, tmp_path, naps, epochs=True)
    job.run(gaia.ids, progress=False)
    assert statuses(job.accounts, "epochs") == received()
    assert "epochs: requested as EPOCH_SPECTRUM_XP, DATAMODEL_GAIA, votable" in job.summary()
    sent = epochs_of(np.delete(gaia.ids, [2, 5]))
    with h5py.File(tmp_path / "epochs" / "batch_0000.h5") as file:
        assert file.attrs["release"] == "DR4" and file["obs_time"].attrs["unit"] == "d"
        np.testing.assert_array_equal(file["source_id"], sent["SOURCE_ID"])
        np.testing.assert_array_equal(file["bp_coefficients"], sent["bp_coefficients"])
        np.testing.assert_array_equal(file["transit_id_mask"], sent["transit_id"].mask)
        seen = ~sent["transit_id"].mask
        np.testing.assert_array_equal(file["transit_id"][seen], sent["transit_id"][seen])
        np.testing.assert_array_equal(file["note"].asstr(), sent["note"])


def test_lists_of_epochs_of_different_lengths_keep_all_digits(gaia, tmp_path, naps):
    lists = [2**60 + np.arange(n) for n in (3, 1)]

    def answer(ids):
        table = Table({"source_id": np.array(ids[:2], dtype=np.int64)})
        for name, cells in (("transit_id", lists), ("time", [1.5 * a for a in lists])):
            table[name] = np.empty(2, dtype=object)
            table[name][:] = cells
        table["names"] = np.array([np.array(["a", "b"]), np.array(["c"])], dtype=object)
        return {"EPOCHS.xml": [table]}

    gaia.epoch_answer = answer
    job = download(gaia, tmp_path, naps, epochs=True)
    job.run(gaia.ids[:2], progress=False)
    assert job.n_failed == 0
    with h5py.File(tmp_path / "epochs" / "batch_0000.h5") as file:
        np.testing.assert_array_equal(file["transit_id"][0], lists[0])
        assert file["transit_id"][1, 0] == lists[1][0]
        np.testing.assert_array_equal(file["transit_id_mask"], [[0, 0, 0], [0, 1, 1]])
        np.testing.assert_array_equal(np.isnan(file["time"]), file["transit_id_mask"])
        assert [t.decode() for t in file["names"]] == ['["a", "b"]', '["c"]']


def test_tables_with_different_columns_are_groups_of_one_file(gaia, tmp_path, naps):
    def answer(ids):
        return {"a.xml": [epochs_of(ids[:2])], "b.xml": [epochs_of(ids[2:])["SOURCE_ID", "note"]]}

    gaia.epoch_answer = answer
    download(gaia, tmp_path, naps, epochs=True).run(gaia.ids, progress=False)
    with h5py.File(tmp_path / "epochs" / "batch_0000.h5") as file:
        assert set(file) == {"table_1", "table_2"} and len(file["table_2/source_id"]) == 6
    gaia.requests = []
    download(gaia, tmp_path, naps, epochs=True).run(gaia.ids, progress=False)
    assert gaia.requests == []


def test_epochs_of_one_file_per_source_get_the_id_of_its_name(gaia, tmp_path, naps):
    gaia.epoch_answer = epoch_csv
    job = download(gaia, tmp_path, naps, epochs=True)
    job.run(gaia.ids, progress=False)
    assert statuses(job.accounts, "epochs") == received()
    with h5py.File(tmp_path / "epochs" / "batch_0000.h5") as file:
        expected = np.repeat(np.delete(gaia.ids, [2, 5]), 2)
        np.testing.assert_array_equal(file["source_id"], expected)


@pytest.mark.parametrize("as_path", [False, True])
def test_epochs_in_a_zip_are_kept_as_it_is(gaia, tmp_path, naps, as_path):
    sent = []

    def answer(ids):
        sent.append(epoch_zip(ids))
        if not as_path:
            return {"epochs.zip": sent[-1]}
        (tmp_path / "sent.zip").write_bytes(sent[-1])
        return {"epochs.zip": str(tmp_path / "sent.zip")}

    gaia.epoch_answer = answer
    job = download(gaia, tmp_path / "out", naps, epochs=True)
    job.run(gaia.ids, progress=False)
    assert statuses(job.accounts, "epochs") == received()
    assert (tmp_path / "out" / "epochs" / "batch_0000.zip").read_bytes() == sent[0]
    gaia.requests = []
    download(gaia, tmp_path / "out", naps, epochs=True).run(gaia.ids, progress=False)
    assert gaia.requests == []


def test_epochs_sent_in_two_parts_are_all_kept(gaia, tmp_path, naps):
    gaia.epoch_answer = lambda ids: {
        "epochs.zip": epoch_zip(ids[:2]), **epoch_table(ids[2:3])
    }  # fmt: skip
    job = download(gaia, tmp_path, naps, epochs=True)
    job.run(gaia.ids, progress=False)
    assert statuses(job.accounts, "epochs") == received()
    names = sorted(path.name for path in (tmp_path / "epochs").iterdir())
    assert names == ["batch_0000.h5", "batch_0000.zip", "batch_0000_1.zip"]


def test_epochs_that_the_archive_never_sends_are_absent(gaia, tmp_path, naps):
    lost = int(gaia.ids[0])
    gaia.epoch_answer = lambda ids: epoch_table([i for i in ids if i != lost])
    job = download(gaia, tmp_path, naps, epochs=True)
    job.run(gaia.ids, progress=False)
    assert statuses(job.accounts, "epochs") == ["absent", *received()[1:]]
    assert statuses(job.accounts, "spectrum") == received() and job.n_failed == 0


@pytest.mark.parametrize("damage", [b"", b"not a zip"])
def test_a_cut_zip_is_asked_for_again_and_then_has_failed(gaia, tmp_path, naps, damage):
    gaia.epoch_answer = lambda ids: {"epochs.zip": damage or epoch_zip(ids)[:100]}
    job = download(gaia, tmp_path, naps, epochs=True)
    job.run(gaia.ids, progress=False)
    assert statuses(job.accounts, "epochs").count("failed") == 5
    assert naps == [10.0, 20.0] and not list((tmp_path / "epochs").iterdir())
    assert "BadZipFile" in job.summary()


def test_epochs_without_any_id_have_failed(gaia, tmp_path, naps):
    gaia.epoch_answer = lambda ids: {"all.csv": [Table({"obs_time": [1.0]})]}
    job = download(gaia, tmp_path, naps, epochs=True)
    job.run(gaia.ids, progress=False)
    assert statuses(job.accounts, "epochs").count("failed") == 5
    assert "no column source_id" in job.summary()


def test_epochs_can_be_added_to_a_finished_download_and_left_out_later(gaia, tmp_path, naps):
    download(gaia, tmp_path, naps).run(gaia.ids[:4], progress=False)
    assert "epochs" not in read_table(tmp_path / "accounts.ecsv").colnames
    gaia.requests = []
    download(gaia, tmp_path, naps, epochs=True).run(gaia.ids[:4], progress=False)
    assert "spectra" not in [name for name, _ in gaia.requests]
    download(gaia, tmp_path, naps).run(gaia.ids, progress=False)
    accounts = read_table(tmp_path / "accounts.ecsv")
    assert statuses(accounts, "epochs") == [*received(4), *["pending"] * 3]
    job = download(gaia, tmp_path, naps, epochs=True)
    job.run(gaia.ids, progress=False)
    assert statuses(job.accounts, "epochs") == received() and "pending" not in job.summary()


def test_lost_and_damaged_files_of_epochs_are_asked_for_again(gaia, tmp_path, naps):
    gaia.epoch_answer = lambda ids: {"epochs.zip": epoch_zip(ids)}
    download(gaia, tmp_path, naps, epochs=True).run(gaia.ids, progress=False)
    path = tmp_path / "epochs" / "batch_0000.zip"
    path.write_bytes(path.read_bytes()[:200])
    job = download(gaia, tmp_path, naps, epochs=True)
    with pytest.warns(UserWarning, match="not readable|are in no file"):
        job.run(gaia.ids, progress=False)
    assert statuses(job.accounts, "epochs") == received()
    assert zipfile.is_zipfile(tmp_path / "epochs" / "batch_0001.zip")


def test_command_line_downloads_a_release_with_epochs(gaia, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("xpfit.read.archive.client._new_gaia", lambda: gaia)
    Table({"source_id": gaia.ids}).write(tmp_path / "ids.csv")
    arguments = ["download", "--source-ids", str(tmp_path / "ids.csv"), "--epochs", "--output"]
    assert main([*arguments, str(tmp_path / "out"), "--release", "DR4"]) == 0
    out = capsys.readouterr().out
    assert "epochs" in out and "requested as MEAN_SPECTRUM_XP, DATAMODEL_GAIA" in out
    assert main([*arguments, str(tmp_path / "other")]) == 1
    assert "Gaia DR3 has no epoch XP spectra" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_installed_astroquery_tells_the_names_it_does_not_know(tmp_path, monkeypatch):
    from astroquery.gaia import GaiaClass

    monkeypatch.chdir(tmp_path)
    real = GaiaClass(
        gaia_tap_server="http://localhost:9/", gaia_data_server="http://localhost:9/",
        show_server_messages=False,
    )  # fmt: skip
    monkeypatch.setattr(real, "VALID_DATALINK_RETRIEVAL_TYPES", [])
    with pytest.raises(ArchiveError, match=r"MEAN_SPECTRUM_XP.*XP_CONTINUOUS.*update astroquery"):
        ArchiveClient(real, release=DR4, sleep=pytest.fail).continuous_spectra(np.array([1]))


def test_mirrors_hold_rows_of_columns_in_any_case(rng, tmp_path):
    from xpfit.read.archive.mirror import write_mirror

    table = archive_sources(2, rng, 51, 55)
    lower, upper = table[:1].as_array(), table[1:].copy()
    upper.rename_columns(upper.colnames, [name.upper() for name in upper.colnames])
    write_mirror([lower, upper.as_array()], tmp_path / "mirror.h5", "DR4")
    (read,) = read_continuous(tmp_path / "mirror.h5")
    np.testing.assert_array_equal(read["bp_coefficients"], table["bp_coefficients"])
