"""Locks between processes: a hidden file beside the target, which is removed with the lock.

The lock itself is the kernel's (``flock``), so that it ends with its process however that ends.
Whoever gets it looks whether the file is still the one at its path: it may have been removed, and
another made, while the lock was waited for. So two processes never hold "the" lock at once.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from milannotations.errors import InputError
from milannotations.pictures.names import shown
from milannotations.progress import note
from milannotations.storage.failures import explained
from milannotations.storage.names import lock_file

try:
    import fcntl
except ImportError:  # Windows, where a file that is open cannot be removed
    fcntl = None  # type: ignore[assignment]

MARK = "milannotations lock"
# The mode of a new lock file: the sticky bit, which means nothing on files, tells it from those of
# other programs even while it is empty.
MODE = stat.S_ISVTX | 0o666
_PATIENCE_S = 1.0  # until whoever waits says so, or gives up
_POLL_S = 0.05
_BUSY = (errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK)
# What file systems without locks answer: NFS without its lock service, Lustre, some of FUSE.
_WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)


@dataclass
class Hold:
    """A lock that a thread of this process holds.

    Attributes:
        path: The lock file.
        exclusive: False where the file system has no locks: others may write the target, too.
        writing: Whether the temporary beside the target is in use.
    """

    path: Path
    thread: int
    release: Callable[[], None]
    exclusive: bool = True
    descriptor: int | None = None
    depth: int = 1
    signed: bool = False
    writing: bool = False


class LocksMissing(Exception):
    """The file system has no locks."""


_HOLDS: dict[Path, Hold] = {}
_WARNED: set[int] = set()  # file systems


@contextmanager
def locked(target: Path, wait: bool = False, brief: bool = False) -> Iterator[Hold]:
    """Keep other processes, and other threads, from writing ``target``.

    The folder that ``target`` lies in is created where it is missing. A thread that holds the lock
    gets it again. Where the file system has no locks a note says so, once.

    Args:
        target: The file or folder to be written.
        wait: Wait for as long as another process holds the lock, after saying so; by default only
            for a second.
        brief: Do not write into the lock file which process holds it, which takes longer than to
            write a small file.

    Raises:
        InputError: If another process is writing it, or its folder cannot be written to.
    """
    hold = _held(target, wait)
    if not brief:
        _sign(hold)
    try:
        yield hold
    finally:
        hold.depth -= 1
        if not hold.depth:
            _HOLDS.pop(hold.path, None)
            hold.release()


def take_now(path: Path) -> Hold | None:
    """Take the lock of a lock file's path at once; None if another process or thread holds it.

    Raises:
        OSError: If the file cannot be made or opened.
        LocksMissing: If the file system has no locks.
    """
    path = _absolute(path)
    if path in _HOLDS:
        return None
    return _take_with_library(path) if fcntl is None else _take(path)


def is_held(path: Path) -> bool:
    """Say whether somebody holds the lock of a lock file; nothing is created or removed.

    Raises:
        OSError: If that cannot be found out.
    """
    path = _absolute(path)
    if path in _HOLDS:
        return True
    if fcntl is None:
        raise OSError(errno.ENOSYS, "locks cannot be looked at on this system")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _BUSY:
            return True
        raise
    finally:
        os.close(descriptor)
    return False


def _held(target: Path, wait: bool) -> Hold:
    path = _absolute(lock_file(target))
    hold = _HOLDS.get(path)
    if hold and hold.thread == threading.get_ident():
        hold.depth += 1
        return hold
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        hold = _waited_for(target, path, wait)
    except LocksMissing as missing:
        _warn(target.parent, str(missing))
        hold = Hold(path, threading.get_ident(), lambda: None, exclusive=False)
    except OSError as error:
        raise explained(error, target) or InputError(
            f"{shown(target)} cannot be written: {error}"
        ) from error
    _HOLDS[path] = hold
    return hold


def _waited_for(target: Path, path: Path, wait: bool) -> Hold:
    began, told = time.monotonic(), False
    while True:
        if hold := take_now(path):
            return hold
        if time.monotonic() - began > _PATIENCE_S:
            if not wait:
                raise InputError(
                    f"{shown(target)} is being written by another process{_holder(path)}; wait "
                    "for it, or name another"
                )
            if not told:
                note(f"waiting for another process that writes {shown(target)}{_holder(path)}")
                told = True
        time.sleep(_POLL_S)


def _take(path: Path) -> Hold | None:
    """Take a lock with ``flock``, unless another holds it."""
    while True:
        descriptor = _opened(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(descriptor, path):
                break
            os.close(descriptor)  # removed while it was opened
        except OSError as error:
            os.close(descriptor)
            if error.errno in _WITHOUT_LOCKS:
                _remove_unlocked(path)
                raise LocksMissing(error.strerror) from error
            if error.errno in _BUSY:
                return None
            raise

    with suppress(OSError):
        if os.fstat(descriptor).st_size:  # says that a killed process holds it
            os.ftruncate(descriptor, 0)

    def release() -> None:
        # Removed while it is held, as afterwards it may be another's.
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)

    return Hold(path, threading.get_ident(), release, descriptor=descriptor)


def _sign(hold: Hold) -> None:
    """Write into a lock file whose it is, for messages; on a full disk nothing is written."""
    if hold.descriptor is not None and not hold.signed:
        hold.signed = True
        with suppress(OSError):
            os.write(hold.descriptor, f"{MARK}\n{os.getpid()}\n{socket.gethostname()}\n".encode())


def _take_with_library(path: Path) -> Hold | None:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    except NotImplementedError as error:
        raise LocksMissing(str(error)) from error
    return Hold(path, threading.get_ident(), lock.release)


def _opened(path: Path) -> int:
    """Open a lock file, which is made where it is missing; links are not followed."""
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    while True:
        try:
            return os.open(path, flags | os.O_CREAT | os.O_EXCL, MODE)
        except FileExistsError:
            pass
        try:
            return os.open(path, flags)
        except FileNotFoundError:
            continue
        except PermissionError:  # of another user; a local file system locks it all the same
            return os.open(path, flags & ~os.O_RDWR | os.O_RDONLY)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def _remove_unlocked(path: Path) -> None:
    with suppress(OSError):
        if not path.stat().st_size:
            path.unlink()


def _holder(path: Path) -> str:
    """Say which process holds a lock, as far as its file tells."""
    try:
        mark, process, host = path.read_text(encoding="utf-8").split("\n")[:3]
    except (OSError, ValueError):
        return ""
    if mark != MARK or not process.isdigit():
        return ""
    where = f" on {shown(host)[:80]}" if host != socket.gethostname() else ""
    return f" (number {process[:20]}{where})"


def _warn(folder: Path, reason: str) -> None:
    if (device := folder.stat().st_dev) not in _WARNED:
        _WARNED.add(device)
        note(
            f"the file system of {shown(folder)} has no locks ({reason}): see to it that no two "
            "processes write the same target there"
        )


def _absolute(path: Path) -> Path:
    # Of the folder alone: two names of one folder are one, and a target that is a link is itself.
    return path.parent.resolve() / path.name


def _forget_in_child() -> None:
    """Let a forked process hold nothing: its parent's locks end with its parent."""
    for hold in _HOLDS.values():
        if hold.descriptor is not None:
            with suppress(OSError):
                os.close(hold.descriptor)
    _HOLDS.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
