"""The download, against recorded answers: never the network."""

import io
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs

import numpy as np
import pytest
from archive import N_SOURCE, FakeGaia, archive_sources, as_votable
from astropy.table import Table

import xpfit
from xpfit import InputError
from xpfit.cli import main
from xpfit.errors import ArchiveError, OutputError
from xpfit.locks import locked
from xpfit.read import read_continuous, read_table
from xpfit.read.archive import ArchiveClient, Download, Status
from xpfit.read.archive.queries import gaia_source
from xpfit.releases import DR3


@pytest.fixture
def gaia(rng):
    return FakeGaia(rng)


@pytest.fixture
def naps():
    return []


def download(gaia, directory, naps, **options):
    client = ArchiveClient(gaia, attempts=3, wait=10.0, sleep=naps.append)
    return Download(directory, client, **options)


def statuses(accounts, name):
    return [str(value) for value in accounts[name]]


@pytest.mark.parametrize("upper_case", [False, True])
@pytest.mark.parametrize("batch_size", [5000, 3])
def test_every_source_is_accounted_for(gaia, tmp_path, naps, batch_size, upper_case):
    gaia.upper_case = upper_case
    job = download(gaia, tmp_path, naps, batch_size=batch_size)
    job.run([*gaia.ids, gaia.ids[0]], progress=False)
    accounts = read_table(tmp_path / "accounts.ecsv")
    np.testing.assert_array_equal(accounts["source_id"], gaia.ids)
    expected = ["received"] * N_SOURCE
    expected[5] = "absent"
    assert statuses(accounts, "gaia_source") == expected
    expected[2] = "absent"  # in the catalogue, but without a spectrum
    assert statuses(accounts, "spectrum") == expected
    assert statuses(accounts, "two_mass") == ["received", "absent"] * 2 + [
        "received", "absent", "received"
    ]  # fmt: skip
    assert job.n_failed == 0 and "received" in job.summary()
    assert naps == [1.0] * (0 if batch_size == 5000 else 2)


def test_spectra_are_read_back_as_they_were(gaia, tmp_path, naps):
    download(gaia, tmp_path, naps, batch_size=4).run(gaia.ids, progress=False)
    tables = [t for p in sorted((tmp_path / "spectra").glob("*.h5")) for t in read_continuous(p)]
    ids = np.concatenate([np.asarray(t["source_id"]) for t in tables])
    np.testing.assert_array_equal(ids, np.delete(gaia.ids, [2, 5]))
    for name in ("bp_coefficients", "rp_coefficient_correlations", "bp_n_relevant_bases"):
        read = np.concatenate([t[name] for t in tables])
        np.testing.assert_array_equal(read, np.delete(np.asarray(gaia.spectra[name]), [2, 5], 0))


def test_catalogues_are_merged_for_the_other_commands(gaia, tmp_path, naps):
    download(gaia, tmp_path, naps, batch_size=2).run(gaia.ids, progress=False)
    sources = read_table(tmp_path / "gaia_source.fits")
    np.testing.assert_array_equal(sources["source_id"], np.delete(gaia.ids, 5))
    assert np.isnan(np.ma.filled(np.ma.asarray(sources["parallax"]), np.nan)).sum() == 1
    photometry = read_table(tmp_path / "photometry.fits")
    assert {"j_m", "w1mpro", "norm_dg", "ph_qual"} <= set(photometry.colnames)
    assert len(photometry) == 6 and np.ma.asarray(photometry["j_m"]).count() == 4


def test_what_the_archive_drops_is_asked_for_again(gaia, tmp_path, naps):
    gaia.dropped = {int(gaia.ids[3])}
    job = download(gaia, tmp_path, naps)
    job.run(gaia.ids, progress=False)
    assert statuses(job.accounts, "spectrum")[3] == "received"
    assert [r for r in gaia.requests if r[0] == "spectra"][1] == ("spectra", [int(gaia.ids[3])])


def test_what_never_comes_has_failed_and_is_asked_for_next_time(gaia, tmp_path, naps, monkeypatch):
    lost = int(gaia.ids[3])
    monkeypatch.setattr(gaia, "dropped", _Sticky({lost}))
    job = download(gaia, tmp_path, naps)
    job.run(gaia.ids, progress=False)
    assert statuses(job.accounts, "spectrum")[3] == Status.FAILED.value
    assert job.n_failed == 1
    gaia.dropped, gaia.requests = set(), []
    again = download(gaia, tmp_path, naps)
    again.run(gaia.ids, progress=False)
    assert again.n_failed == 0
    assert all(ids == [lost] for _, ids in gaia.requests)
    everything = [
        i for p in (tmp_path / "spectra").glob("*.h5") for t in read_continuous(p)
        for i in t["source_id"]
    ]  # fmt: skip
    assert len(everything) == len(set(everything)) == 5


class _Sticky(set):
    """A set that nothing is taken from."""

    def __isub__(self, other):
        return self


def test_spectra_received_are_not_asked_for_again_when_photometry_failed(gaia, tmp_path, naps):
    gaia.broken = {"wise"}
    download(gaia, tmp_path, naps).run(gaia.ids, progress=False)
    gaia.broken, gaia.requests = set(), []
    job = download(gaia, tmp_path, naps)
    job.run(gaia.ids, progress=False)
    assert job.n_failed == 0
    assert "spectra" not in [name for name, _ in gaia.requests]


def test_requests_are_repeated_with_growing_pauses(gaia, tmp_path, naps):
    gaia.broken = {"tmass"}
    job = download(gaia, tmp_path, naps)
    job.run(gaia.ids, progress=False)
    assert naps == [10.0, 20.0]
    assert statuses(job.accounts, "two_mass") == ["failed"] * N_SOURCE
    assert statuses(job.accounts, "spectrum")[0] == "received"


def test_an_archive_without_answers_ends_the_run_and_a_later_one_resumes(gaia, tmp_path, naps):
    gaia.broken = {"gaia", "tmass", "wise", "spectra"}
    with pytest.raises(ArchiveError, match="rerun later"):
        download(gaia, tmp_path, naps, batch_size=2).run(gaia.ids, progress=False)
    gaia.broken = set()
    job = download(gaia, tmp_path, naps, batch_size=2)
    job.run(gaia.ids, progress=False)
    assert job.n_failed == 0 and len(job.accounts) == N_SOURCE


def test_an_interrupted_run_resumes_where_it_was(gaia, tmp_path, naps):
    job = download(gaia, tmp_path, naps, batch_size=3)
    answer = gaia.load_data

    def interrupt(ids, **options):
        if int(gaia.ids[3]) in ids:
            raise KeyboardInterrupt
        return answer(ids, **options)

    gaia.load_data = interrupt
    with pytest.raises(KeyboardInterrupt):
        job.run(gaia.ids, progress=False)
    assert not list(tmp_path.rglob("*part*"))
    gaia.load_data, gaia.requests = answer, []
    job = download(gaia, tmp_path, naps, batch_size=3)
    job.run(gaia.ids, progress=False)
    assert job.n_failed == 0
    asked = {i for _, ids in gaia.requests for i in ids}
    assert asked == {int(i) for i in gaia.ids[3:]}


def test_nothing_left_to_ask_asks_nothing(gaia, tmp_path, naps):
    download(gaia, tmp_path, naps).run(gaia.ids, progress=False)
    gaia.requests = []
    download(gaia, tmp_path, naps).run(gaia.ids[:3], progress=False)
    assert gaia.requests == []


@pytest.mark.parametrize("ids", [[], [-5], [0, 7]])
def test_ids_that_are_none_are_refused(gaia, tmp_path, naps, ids):
    with pytest.raises(InputError, match="positive integers"):
        download(gaia, tmp_path, naps).run(ids, progress=False)


def test_more_than_the_archive_takes_at_once_is_refused(gaia, tmp_path, naps):
    with pytest.raises(InputError, match="1 to 5000"):
        download(gaia, tmp_path, naps, batch_size=5001)


def test_accounts_of_something_else_are_refused(gaia, tmp_path, naps):
    Table({"a": [1]}).write(tmp_path / "accounts.ecsv")
    with pytest.raises(InputError, match=r"accounts\.ecsv: missing columns source_id"):
        download(gaia, tmp_path, naps)


def test_command_line_tells_what_became_of_the_sources(gaia, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("xpfit.read.archive.client._new_gaia", lambda: gaia)
    Table({"SOURCE_ID": gaia.ids}).write(tmp_path / "ids.csv")
    arguments = ["download", "--source-ids", str(tmp_path / "ids.csv"), "--output"]
    assert main([*arguments, str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    assert "7 sources" in out and "spectrum" in out and "xpfit prepare" in out
    monkeypatch.setattr(gaia, "dropped", _Sticky({int(gaia.ids[0])}))
    assert main([*arguments, str(tmp_path / "other")]) == 1
    assert "1 sources are incomplete" in capsys.readouterr().err


class _Server(BaseHTTPRequestHandler):
    """Answers like the archive: one TAP job that is done at once, and a datalink bundle."""

    recorded: dict

    def do_POST(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/async"):
            self.recorded["query"] = content
            self.send_response(303)
            self.send_header("Location", f"http://{self.headers['Host']}{self.path}/17")
            self.end_headers()
        else:
            self.recorded["data"] = parse_qs(content.decode())
            self._send(self.recorded["bundle"], "application/zip")

    def do_GET(self):
        if self.path.endswith("/phase"):
            self._send(b"COMPLETED", "text/plain")
        else:
            self._send(self.recorded["result"], "application/x-votable+xml")

    def _send(self, content, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(gaia):
    """A local server with recorded answers for two sources."""
    bundle = io.BytesIO()
    with zipfile.ZipFile(bundle, "w") as archive:
        archive.writestr("XP_CONTINUOUS_RAW.xml", as_votable(gaia.spectra[:2]))
    result = Table({"SOURCE_ID": gaia.ids[:2], "has_xp_continuous": [True, True]})
    _Server.recorded = {"bundle": bundle.getvalue(), "result": as_votable(result)}
    server = HTTPServer(("localhost", 0), _Server)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://localhost:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.mark.filterwarnings("ignore")
def test_astroquery_itself_talks_to_a_recorded_archive(gaia, server, tmp_path, monkeypatch):
    from astroquery.gaia import GaiaClass

    monkeypatch.chdir(tmp_path)
    real = GaiaClass(gaia_tap_server=server, gaia_data_server=server, show_server_messages=False)
    client = ArchiveClient(real, attempts=1)
    table = client.query(gaia_source(DR3), gaia.ids[:2])
    np.testing.assert_array_equal(table["source_id"], gaia.ids[:2])
    assert b"TAP_UPLOAD.wanted" in _Server.recorded["query"]
    (spectra,) = client.continuous_spectra(gaia.ids[:2])
    np.testing.assert_array_equal(
        np.ma.getdata(spectra["bp_coefficients"]), gaia.spectra["bp_coefficients"][:2]
    )
    assert _Server.recorded["data"]["RETRIEVAL_TYPE"] == ["XP_CONTINUOUS"]
    assert _Server.recorded["data"]["ID"] == [",".join(str(i) for i in gaia.ids[:2])]


def test_without_astroquery_the_remedy_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "astroquery.gaia", None)
    with pytest.raises(InputError, match=r"pip install 'xpfit\[archive\]'"):
        ArchiveClient()


def test_downloaded_spectra_can_be_fitted(rng, tmp_path, naps):
    gaia = FakeGaia(rng)
    gaia.spectra = archive_sources(N_SOURCE, rng)
    download(gaia, tmp_path, naps).run(gaia.ids, progress=False)
    spectra = xpfit.read_spectra(tmp_path / "spectra" / "batch_0000.h5")
    assert len(spectra) == 5 and np.all(spectra.n_obs == 61)


@pytest.mark.parametrize("folder", ["spectra", "gaia_source", "photometry"])
def test_what_accounts_call_received_is_asked_for_again_when_its_file_is_gone(
    gaia, tmp_path, naps, folder
):
    download(gaia, tmp_path, naps, batch_size=3).run(gaia.ids, progress=False)
    next((tmp_path / folder).glob("batch_0000.*")).unlink()
    gaia.requests = []
    job = download(gaia, tmp_path, naps)
    with pytest.warns(UserWarning, match="call received are in no file"):
        job.run(gaia.ids, progress=False)
    assert job.n_failed == 0 and set(gaia.requests[0][1]) <= set(gaia.ids[:3].tolist())
    ids = [i for p in (tmp_path / "spectra").glob("*.h5") for t in read_continuous(p)
           for i in t["source_id"]]  # fmt: skip
    assert set(ids) == set(np.delete(gaia.ids, [2, 5]).tolist())
    assert len(read_table(tmp_path / "gaia_source.fits")) == N_SOURCE - 1


def test_files_of_lost_accounts_are_not_replaced(gaia, tmp_path, naps):
    download(gaia, tmp_path, naps).run(gaia.ids[:3], progress=False)
    (tmp_path / "accounts.ecsv").unlink()
    download(gaia, tmp_path, naps).run(gaia.ids[3:], progress=False)
    assert len(list((tmp_path / "spectra").iterdir())) == 2


def test_two_downloads_do_not_share_a_directory(gaia, tmp_path, naps):
    job = download(gaia, tmp_path, naps)
    busy = locked(tmp_path / ".lock", "")
    with busy, pytest.raises(OutputError, match="another download is active"):
        job.run(gaia.ids, progress=False)
    assert gaia.requests == []
