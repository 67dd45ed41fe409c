"""Lock of a folder: only one process at a time may train in it, also over a network."""

import json
import os
import platform
import secrets
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, cast

from sngan.runs.manifest import HIDDEN
from sngan.utils.files import missing_folders, named_in_errors, remove_if_empty
from sngan.utils.text import printable

_LOCK = "lock"
_BEAT_SECONDS, _STALE_SECONDS = 10.0, 60.0


class FolderInUseError(ValueError):
    """Another process holds the lock of a folder."""


class Holder(NamedTuple):
    """The process that holds a lock: machine, boot of the machine, process number, start time."""

    host: str
    boot: str
    pid: int
    started: str
    token: str

    def __str__(self) -> str:
        return f"process {self.pid} on {printable(self.host)}"


@contextmanager
def locked(folder: Path, *, wait: bool = False, home: Path | None = None) -> Generator[None]:
    """Hold the lock ``folder/.sngan/lock``; the folder is made if it is missing.

    The lock is the system's ``flock``, which ends with its process. Some file systems have none, or
    do not share it between machines. Therefore the owner also renews the lock file every 10 s. A
    process of this machine holds the lock while it lives, a process of another machine until its
    lock file is 60 s old. Folders that were made only for the lock are removed again.

    Parameters
    ----------
    folder
        The folder of a run or of a comparison.
    home
        The folder of the lock; left out, ``folder/.sngan``.
    wait
        Instead of raising, wait until the lock of a dead machine is too old; for restarted runs.

    Raises
    ------
    FolderInUseError
        If another process, or another thread of this one, holds the lock.
    ValueError
        If ``folder`` is a file, or a link to nothing.
    """
    home = folder / HIDDEN if home is None else home
    path, made = home / _LOCK, _make(home)
    try:
        handle = _acquire(path, folder, wait=wait)
    except BaseException:
        _unmake(made)
        raise
    over = threading.Event()
    beat = threading.Thread(target=_renew, args=(path, over), daemon=True)
    beat.start()
    try:
        yield
    finally:
        over.set()
        beat.join()
        # a file that cannot be removed blocks nobody: the lock ends with its handle
        with suppress(OSError):
            path.unlink(missing_ok=True)
        os.close(handle)
        _unmake(made)


def holder_of(folder: Path) -> Holder | None:
    """Return the process that trains in a folder now; this changes nothing in the folder."""
    path = folder / HIDDEN / _LOCK
    holder = _read(path)
    return holder if holder is not None and _is_alive(holder, path) else None


def _make(folder: Path) -> list[Path]:
    """Make a folder and its parents; return the folders that were missing, the deepest first."""
    missing = missing_folders(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ValueError(
            f"out: expected a folder, got a file or a link to nothing at {folder.parent}"
        ) from error
    return missing


def _unmake(folders: list[Path]) -> None:
    for folder in folders:
        remove_if_empty(folder)


def _acquire(path: Path, folder: Path, *, wait: bool) -> int:
    until = time.monotonic() + (_STALE_SECONDS + _BEAT_SECONDS if wait else 0.0)
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if _takes(handle, path):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
        holder = _read(path)
        if holder is None and not path.exists():
            # the owner has just released the lock
            continue
        if time.monotonic() >= until:
            raise FolderInUseError(
                f"out: expected a folder that no other process uses, got {folder}, "
                f"in use by {holder or 'another process'}"
            )
        time.sleep(1.0)


def _takes(handle: int, path: Path) -> bool:
    """Try to take an opened lock file for this process; return whether that worked."""
    flocked = _flock(handle)
    if flocked is False:
        return False
    try:
        if os.fstat(handle).st_ino != path.stat().st_ino:
            # the owner has removed this file since it was opened
            return False
    except FileNotFoundError:
        return False
    other, own = _read(path), _own()
    is_settled = flocked and other is not None and other.boot == own.boot
    if other is not None and not is_settled and _is_alive(other, path):
        return False
    with named_in_errors(path):
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(own._asdict()).encode(), 0)
        os.fsync(handle)
    if flocked:
        return True
    # without flock two processes may have written: the last one has the lock
    time.sleep(0.2)
    return _read(path) == own


def _flock(handle: int) -> bool | None:
    """Take the system's lock: False if another process has it, None if the system has none."""
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (OSError, ImportError):
        return None
    return True


def _is_alive(holder: Holder, path: Path) -> bool:
    if holder.boot == _boot() and holder.host == platform.node():
        return _started(holder.pid) == holder.started != ""
    # the clocks of two machines differ, so both times come from the file system
    return _now_at(path) - path.stat().st_mtime < _STALE_SECONDS if path.exists() else False


def _now_at(path: Path) -> float:
    probe = path.with_name(f"{_LOCK}.{secrets.token_hex(4)}")
    try:
        probe.touch()
        return probe.stat().st_mtime
    except OSError:
        return time.time()
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)


def _renew(path: Path, over: threading.Event) -> None:
    while not over.wait(_BEAT_SECONDS):
        with suppress(OSError):
            os.utime(path)


def _own() -> Holder:
    return Holder(
        platform.node(), _boot(), os.getpid(), _started(os.getpid()), secrets.token_hex(8)
    )


def _read(path: Path) -> Holder | None:
    try:
        values: Any = json.loads(path.read_bytes()[:10_000])
        values = cast(dict[str, Any], values)
        holder = Holder(**{name: values[name] for name in Holder._fields})
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    texts = (holder.host, holder.boot, holder.started, holder.token)
    is_whole = isinstance(holder.pid, int) and all(isinstance(text, str) for text in texts)
    return holder if is_whole else None


def _boot() -> str:
    """Return the identity of this machine's last boot, which all its containers share."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return platform.node()


def _started(pid: int) -> str:
    """Return the start time of a process in the clock ticks of its machine; empty if it is gone."""
    try:
        # the name of the program, in parentheses, may contain spaces and parentheses
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return _started_without_proc(pid)


def _started_without_proc(pid: int) -> str:
    """Return a text if a process exists on a system without ``/proc``, else an empty text."""
    if Path("/proc/self/stat").exists():
        return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        return "there"
    return "there"
