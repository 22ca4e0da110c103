"""Swapping two paths in one step, where the operating system can do that."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

_AT_FDCWD = -100
_EXCHANGE = 2  # RENAME_EXCHANGE of Linux and RENAME_SWAP of macOS have the same value
# Errors of kernels and file systems that cannot do it: old ones, NFS, some FUSE file systems.
_CANNOT = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)


def exchange(first: Path, second: Path) -> bool:
    """Swap the names of two existing files or folders on one file system, in one step.

    Returns:
        False if that cannot be done here; nothing has changed then.

    Raises:
        OSError: If it fails for a reason that lies in the paths themselves.
    """
    names = os.fsencode(first), os.fsencode(second)
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            status = library.renamex_np(*names, ctypes.c_uint(_EXCHANGE))
        else:
            status = library.renameat2(
                _AT_FDCWD, names[0], _AT_FDCWD, names[1], ctypes.c_uint(_EXCHANGE)
            )
    except (AttributeError, OSError, TypeError):  # Windows, and C libraries without it
        return False
    if status == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT:
        return False
    raise OSError(number, os.strerror(number), str(first), None, str(second))
