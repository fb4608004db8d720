"""Commands in processes of their own, of which time, memory and files are watched."""

from __future__ import annotations

import hashlib
import io
import os
import resource
import signal
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

from xpfit.cli import main

SECONDS, MEMORY = 20, 2 << 30
"""Most time of the processor, and most memory, that a command may take."""

WAITING = 150
"""Seconds after which a command that does nothing hangs: the machine may be busy with others."""

STATUSES = (0, 1, 2, 3)

OUTPUT = "out"
"""Folder that a command may write to, beside what it reads."""


@dataclass(frozen=True)
class Ending:
    """How a command ended, with what it has said, and the files that were not its own."""

    status: int
    said: str
    n_bytes: int
    touched: tuple[str, ...]

    @property
    def faults(self) -> list[str]:
        """What must not be, in words; nothing if all is well."""
        found = []
        if self.status in (-signal.SIGALRM, -signal.SIGXCPU):
            found.append(f"more than {SECONDS} s, or it hangs")
        elif self.status not in STATUSES:
            found.append(f"status {self.status}")
        if "Traceback" in self.said or "a fault of xpfit" in self.said:
            found.append("not explained")
        if "not enough memory" in self.said or self.n_bytes > MEMORY:
            found.append(f"memory: {self.n_bytes / 1e9:.1f} GB")
        if self.status == 1 and "error: " not in self.said:
            found.append("no reason")
        if self.touched:
            found.append(f"touched {', '.join(self.touched)}")
        return found


def run_watched(arguments: list[str], folder: Path) -> Ending:
    """Run ``xpfit`` in a folder.

    Parameters
    ----------
    arguments : list of str
    folder : Path
        The command works in `OUTPUT` in it, which may change, and nothing else.

    Returns
    -------
    Ending
    """
    home, said = folder / "home", folder.with_suffix(".said")
    home.mkdir()
    before = _digests(folder)
    child = os.fork()
    if not child:
        _run_and_exit(arguments, folder, home, said)
    _, state, used = os.wait4(child, 0)
    after = _digests(folder)
    touched = sorted(n for n in {*before, *after} if before.get(n) != after.get(n))
    return Ending(
        os.waitstatus_to_exitcode(state),
        said.read_text("utf-8", "replace"),
        used.ru_maxrss * 1024,
        tuple(touched),
    )


def _run_and_exit(arguments: list[str], folder: Path, home: Path, said: Path) -> None:
    """The child: whatever happens, it ends here."""
    status = 99
    try:
        signal.alarm(WAITING)
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 5))
        for descriptor in (1, 2):
            os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for name, descriptor in (("stdout", 1), ("stderr", 2)):
            stream = io.BufferedWriter(io.FileIO(descriptor, "w", closefd=False))
            setattr(sys, name, io.TextIOWrapper(stream, "utf-8", "backslashreplace"))
        os.chdir(folder / OUTPUT)
        os.environ.update(HOME=str(home), TMPDIR=str(home))
        virtual = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (virtual + MEMORY,) * 2)
        status = main(arguments)
    except SystemExit as end:
        status = end.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status if isinstance(status, int) else 98)


def _digests(folder: Path) -> dict[str, str]:
    """What each file below a folder holds, but for `OUTPUT`."""
    found = {}
    for parent, directories, names in os.walk(folder):
        if Path(parent) == folder and OUTPUT in directories:
            directories.remove(OUTPUT)
        for name in names:
            path = Path(parent, name)
            content = path.read_bytes() if path.is_file() else b""
            link = os.readlink(path) if path.is_symlink() else ""
            place = str(path.relative_to(folder))
            found[place] = f"{link} {path.lstat().st_mode} {hashlib.sha1(content).hexdigest()}"
    return found
