"""Who writes what: one writer a path, nothing left of the dead, full disks in one line.

Runs are killed at any moment, started twice, and outgrow their disk. What they leave is swept by
the next run that writes there; a second run on a path that another one writes is told who does.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

#: reasons of the system for which nothing more can be written
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
DAY = 86_400.0  #: age from which what an unknown writer has left is taken for an orphan, s


class BusyError(ValueError):
    """Another run writes there; the message says which, and since when."""


def explain(error: OSError) -> str:
    """What happened and what to do, as the end of a sentence."""
    reason = error.strerror or str(error)
    if error.errno in FULL - {errno.EROFS}:
        return (
            f"{reason}. Free some space or choose another folder; what was finished is kept, and "
            "the run resumes."
        )
    return f"{reason}. Choose a folder you may write to."


def mark() -> str:
    """This process and machine, as temporary names carry them, ``4711-1f2e3d4c``."""
    return f"{os.getpid()}-{_host():08x}"


def _host() -> int:
    return zlib.crc32(socket.gethostname().encode())


def _is_orphan(path: Path, found: str) -> bool:
    """Whether the writer whose ``mark`` begins ``found`` is dead, as far as can be told."""
    pid, dash, host = found.split(".")[0].partition("-")
    if pid.isdigit() and (not dash or host == f"{_host():08x}"):
        return not _lives(int(pid))
    with contextlib.suppress(OSError):
        return time.time() - path.stat().st_mtime > DAY
    return False


def _lives(pid: int) -> bool:
    """Whether a process of this machine lives; one that nobody has waited for is dead."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    with contextlib.suppress(OSError, IndexError):  # no such file but on Linux
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    return True


def sweep(path: Path) -> None:
    """Remove what dead writers of ``path`` have left beside it, ``.NAME.PID-HOST.…``.

    What a living process of this machine writes stays, and what was left by a process of another
    one, or by one that does not say who it is, until it is a day old.
    """
    begin = f".{path.name}."
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(path.parent)):
            found = entry.name.removeprefix(begin)
            if found == entry.name or found == "lock" or not _is_orphan(Path(entry.path), found):
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)


def tidy(path: Path) -> None:
    """:func:`sweep`, and the lock of a writer that was killed when its file was just finished."""
    sweep(path)
    if path.with_name(f".{path.name}.lock").exists():
        with contextlib.suppress(BusyError), claim(path):
            pass  # whoever lets go removes it


@contextlib.contextmanager
def claim(path: str | os.PathLike, *, wait: bool = False) -> Iterator[None]:
    """Be the only one that writes ``path``, a file or a folder, while the context lasts.

    With ``wait``, the others are waited for; without, they are an error.

    ``.NAME.lock`` beside it says who: process, machine and time. The system lets go of the lock
    when its process ends, however it does; what is left of the file is no lock. Where the file
    system knows no locks nothing is guarded.

    Raises
    ------
    BusyError
        Where another process, or another thread, holds it.
    """
    path = Path(path)
    try:
        import fcntl
    except ImportError:  # no such locks on this system
        yield
        return
    lock = path.with_name(f".{path.name}.lock")
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if wait:
                os.close(handle)
                time.sleep(0.2)
                continue
            who = _read_owner(handle)
            os.close(handle)
            raise BusyError(
                f"{path} is being written by {who}. Wait until it is done, or stop it; or choose "
                "another path."
            ) from None
        except OSError:  # a file system without locks
            os.close(handle)
            yield
            return
        with contextlib.suppress(FileNotFoundError):
            if os.stat(lock).st_ino == os.fstat(handle).st_ino:
                break
        os.close(handle)  # the one before has just removed it: this is the lock of nothing
    try:
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        owner = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
        with contextlib.suppress(OSError):  # a full disk: the lock holds, without a name
            os.ftruncate(handle, 0)
            os.write(handle, json.dumps(owner).encode())
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(handle)


def _read_owner(handle: int, patience: float = 2.0) -> str:
    """Who holds a lock; it has it a moment before its name stands there."""
    until = time.monotonic() + patience
    while True:
        try:
            owner = json.loads(os.pread(handle, 4096, 0))
            return f"process {owner['pid']} on {owner['host']} since {owner['since']}"
        except (ValueError, KeyError, TypeError, OSError):
            if time.monotonic() > until:
                return "another process"
        time.sleep(0.02)


def end_with(parent: int) -> None:
    """End this process, without ado, when its parent does: what it made would have no reader."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
