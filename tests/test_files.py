"""Outputs appear whole or not at all, and nothing else is touched, whatever happens."""

import os
import signal
import stat
import subprocess
import sys
import threading

import pytest

from xpfit.errors import OutputError
from xpfit.files import atomic_output, check_output, new_log
from xpfit.locks import hold, locked
from xpfit.temporary import PREFIX, remove_leftovers

WRITER = """
import os, signal, sys, time
from xpfit.files import atomic_output
with atomic_output(sys.argv[1]) as part:
    part.write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


def start_writer(path):
    writer = subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE)
    assert writer.stdout.readline() == b"writing\n"
    return writer


def test_a_killed_writer_leaves_what_the_next_one_removes(tmp_path):
    writer = start_writer(tmp_path / "a")
    writer.kill()
    writer.wait()
    assert [p.name[: len(PREFIX)] for p in tmp_path.iterdir()] == [PREFIX]
    with atomic_output(tmp_path / "b") as part:
        part.write_text("whole")
    assert [p.name for p in tmp_path.iterdir()] == ["b"]


def test_what_a_living_writer_writes_is_left_alone(tmp_path):
    writer = start_writer(tmp_path / "a")
    remove_leftovers(tmp_path)
    assert len(list(tmp_path.glob(f"{PREFIX}*/a"))) == 1
    writer.kill()
    writer.wait()


def test_nobody_else_can_enter_the_directory_of_an_unfinished_output(tmp_path):
    with atomic_output(tmp_path / "a") as part:
        part.write_text("x")
        assert stat.S_IMODE(part.parent.stat().st_mode) == 0o700
        assert part.parent.parent == tmp_path and part.name == "a"


def test_leftovers_that_are_links_are_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "precious").write_text("precious")
    (tmp_path / f"{PREFIX}x.part").symlink_to(victim)
    remove_leftovers(tmp_path)
    assert (victim / "precious").read_text() == "precious"


def test_a_link_that_is_replaced_leaves_its_target_alone(tmp_path):
    (tmp_path / "target").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with atomic_output(tmp_path / "link", overwrite=True) as part:
        part.write_text("new")
    assert (tmp_path / "target").read_text() == "precious"
    assert (tmp_path / "link").read_text() == "new"


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444])
def test_permissions_of_a_replaced_file_are_kept(tmp_path, mode):
    path = tmp_path / "a"
    path.write_text("old")
    path.chmod(mode)
    with atomic_output(path, overwrite=True) as part:
        part.write_text("new")
    assert path.read_text() == "new" and stat.S_IMODE(path.stat().st_mode) == mode


def test_permissions_of_a_new_file_are_those_of_the_user(tmp_path):
    before = os.umask(0o027)
    try:
        with atomic_output(tmp_path / "a") as part:
            part.write_text("x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_of_two_writers_the_second_keeps_its_work_under_another_name(tmp_path):
    path = tmp_path / "a.fits"
    with (
        pytest.raises(OutputError, match=r"another program .* is in .*a\.1\.fits"),
        atomic_output(path) as second,
    ):
        second.write_text("second")
        with atomic_output(path) as first:
            first.write_text("first")
    assert path.read_text() == "first"
    assert (tmp_path / "a.1.fits").read_text() == "second"
    assert len(list(tmp_path.iterdir())) == 2


def test_of_many_writers_one_gets_the_name_and_none_loses_its_work(tmp_path):
    barrier, errors = threading.Barrier(8), []

    def write(number):
        try:
            with atomic_output(tmp_path / "a") as part:
                part.write_text(str(number))
                barrier.wait()
        except OutputError as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) == 7
    assert sorted(p.read_text() for p in tmp_path.iterdir()) == [str(i) for i in range(8)]


def test_without_hard_links_nothing_is_replaced_either(tmp_path, monkeypatch):
    def no_links(*names):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    with atomic_output(tmp_path / "a") as part:
        part.write_text("first")
    with pytest.raises(OutputError, match="exists already"), atomic_output(tmp_path / "a"):
        pass
    assert (tmp_path / "a").read_text() == "first"


def test_an_error_in_the_block_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), atomic_output(tmp_path / "a") as part:
        part.write_text("half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_an_input_that_cannot_be_read_is_not_called_an_output(tmp_path):
    with pytest.raises(PermissionError), atomic_output(tmp_path / "a"):
        raise PermissionError(13, "Permission denied", str(tmp_path / "input"))


@pytest.mark.parametrize("link", ["itself", "symbolic", "hard"])
def test_an_output_that_is_an_input_is_refused(tmp_path, link):
    path, name = tmp_path / "a", tmp_path / "b"
    path.write_text("precious")
    if link == "symbolic":
        name.symlink_to(path)
    elif link == "hard":
        name.hardlink_to(path)
    else:
        name = path
    with pytest.raises(OutputError, match=r"read by this command as well \(photometry\)"):
        check_output(name, overwrite=True, inputs={str(path): "photometry"})


def test_an_output_within_an_input_directory_is_refused(tmp_path):
    part = tmp_path / "run" / "catalogue" / "a.parquet"
    part.parent.mkdir(parents=True)
    part.write_text("precious")
    with pytest.raises(OutputError, match="read by this command"):
        check_output(part, overwrite=True, inputs={str(tmp_path / "run"): "catalogue"})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x" * 300, "name too long"),
        ("dangling", "exists already"),
        ("absent/x", "no such directory"),
    ],
)
def test_outputs_that_cannot_be_written_are_refused_before_any_work(tmp_path, name, message):
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputError, match=message):
        check_output(tmp_path / name, overwrite=False)


def test_devices_and_pipes_are_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/null"):
        with pytest.raises(OutputError, match="device or a pipe"):
            check_output(path, overwrite=True)


def test_a_log_does_not_follow_links(tmp_path):
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "log").symlink_to(tmp_path / "precious")
    with pytest.raises(OutputError):
        new_log(tmp_path / "log", overwrite=True)
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_lock_is_held_once_and_names_its_owner(tmp_path):
    with locked(tmp_path / "lock", "busy"):
        assert hold(tmp_path / "lock") is None
        again = locked(tmp_path / "lock", "busy")
        with pytest.raises(OutputError, match=f"busy .process {os.getpid()} on"), again:
            pass
    with locked(tmp_path / "lock", "busy"):
        pass


@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", 130)])
def test_a_command_that_is_ended_cleans_up(tmp_path, name, status):
    script = """
import sys, time
from xpfit import cli
from xpfit.files import atomic_output
def work(options):
    with atomic_output(sys.argv[1]) as part:
        part.write_text("half"); print("writing", flush=True); time.sleep(60)
from xpfit.cli import recipe
recipe.run = work
sys.exit(cli.main(["recipe", "show", "zgr23"]))
"""
    command = subprocess.Popen(
        [sys.executable, "-c", script, tmp_path / "a"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert command.stdout.readline() == b"writing\n"
    command.send_signal(getattr(signal, name))
    _, said = command.communicate()
    assert command.returncode == status and list(tmp_path.iterdir()) == []
    assert said == b"xpfit recipe: interrupted; unfinished output was removed\n"
