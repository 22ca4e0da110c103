"""The file behind a lock: taking it, removing it, and recording who holds it.

The lock itself is the kernel's (``flock``), so it ends with its process, however that ends.
Whoever gets it checks that the file is still the one at its path: while they were waiting, it may
have been removed and another created. So two processes never hold "the" lock at once.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from milannotations.file_names import shown

try:
    import fcntl

    _HAS_FLOCK = True
except ImportError:  # Windows, where an open file cannot be removed
    _HAS_FLOCK = False

MARK = "milannotations lock"
# The mode of a new lock file: the sticky bit, which has no effect on files, distinguishes it from
# those of other programs even while it is empty.
MODE = stat.S_ISVTX | 0o666
_BUSY = (errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK)
# Errors of file systems without locks: NFS without its lock service, Lustre, some FUSE ones.
_WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)


class LocksMissing(Exception):
    """The file system has no locks."""


class LockFile:
    """A lock file whose lock this process holds.

    Args:
        path: The file.
        descriptor: The open, locked file; None if ``lock`` holds it.
        lock: The library's lock, on systems without ``flock``.
    """

    def __init__(
        self, path: Path, descriptor: int | None = None, lock: FileLock | None = None
    ) -> None:
        self._path, self._descriptor, self._lock = path, descriptor, lock
        self._signed = False

    def sign(self) -> None:
        """Write into the file who holds it, for messages; on a full disk nothing is written."""
        if self._descriptor is not None and not self._signed:
            self._signed = True
            text = f"{MARK}\n{os.getpid()}\n{socket.gethostname()}\n"
            with suppress(OSError):
                os.write(self._descriptor, text.encode())

    def release(self) -> None:
        """Remove the file and release the lock."""
        if self._lock is not None:
            self._lock.release()
        if self._descriptor is not None:
            # Removed while the lock is held: afterwards the file may be another process's.
            with suppress(OSError):
                self._path.unlink()
            os.close(self._descriptor)

    def forget(self) -> None:
        """Leave the lock to the process that this one was forked from."""
        if self._descriptor is not None:
            with suppress(OSError):
                os.close(self._descriptor)


def take(path: Path) -> LockFile | None:
    """Take a lock at once; None if another process or thread holds it.

    Raises:
        OSError: If the file cannot be created or opened.
        LocksMissing: If the file system has no locks.
    """
    if not _HAS_FLOCK:
        return _take_with_library(path)
    while True:
        descriptor = _opened(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(descriptor, path):
                break
            os.close(descriptor)  # removed while it was being opened
        except OSError as error:
            os.close(descriptor)
            if error.errno in _WITHOUT_LOCKS:
                _remove_empty(path)
                raise LocksMissing(error.strerror) from error
            if error.errno in _BUSY:
                return None
            raise
    with suppress(OSError):
        if os.fstat(descriptor).st_size:  # names a killed process as the holder
            os.ftruncate(descriptor, 0)
    return LockFile(path, descriptor)


def is_taken(path: Path) -> bool:
    """Say whether anyone holds a lock; nothing is created or removed.

    Raises:
        OSError: If that cannot be determined.
    """
    if not _HAS_FLOCK:
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


def holder(path: Path) -> str:
    """Say which process holds a lock, if its file names one: `` (number 123 on node7)``."""
    try:
        mark, process, host = path.read_text(encoding="utf-8").split("\n")[:3]
    except (OSError, ValueError):
        return ""
    if mark != MARK or not process.isdigit():
        return ""
    where = f" on {shown(host)[:80]}" if host != socket.gethostname() else ""
    return f" (number {process[:20]}{where})"


def _take_with_library(path: Path) -> LockFile | None:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    except NotImplementedError as error:
        raise LocksMissing(str(error)) from error
    return LockFile(path, lock=lock)


def _opened(path: Path) -> int:
    """Open a lock file, creating it if it is missing; links are not followed."""
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
        except PermissionError:  # another user's; a local file system can lock it anyway
            return os.open(path, flags & ~os.O_RDWR | os.O_RDONLY)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def _remove_empty(path: Path) -> None:
    with suppress(OSError):
        if not path.stat().st_size:
            path.unlink()
