"""The last resort of the command line: failures of the environment, reported in one line.

Mistakes in the input are reported where it is read, and failures to write where the target is
known. What remains comes from the machine (disk, permissions, memory, limits) and from libraries
that wrap its errors. Anything else is a fault of the program, and shows its traceback.
"""

from __future__ import annotations

import getpass
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from milannotations.errors import wrong_fields

TRACEBACK_VARIABLE = "MILANNOTATIONS_TRACEBACK"
FAULT = 70  # exit status for a fault of the program: EX_SOFTWARE in sysexits.h
_LONGEST = 300  # characters of a library's message
# What the program's own faults raise: a system error that came before is not their cause.
_FAULTS = (AssertionError, AttributeError, IndexError, LookupError, NameError, TypeError)
_NO_MEMORY = re.compile(
    r"can't allocate memory|cannot allocate memory|out of memory|failed to map segment|"
    r"DataLoader worker .* (killed|exited unexpectedly)|process in the process pool was terminated",
    re.IGNORECASE,
)
_OF_THE_SYSTEM = re.compile(
    r"no space left on device|permission denied|read-only file system|too many open files|"
    r"disk quota exceeded|input/output error|file too large",
    re.IGNORECASE,
)
_LIBRARIES = {"ArrowException": "pyarrow", "SafetensorError": "safetensors"}


def tracebacks_wanted() -> bool:
    """Say whether the user has asked for the traceback of every error."""
    return os.environ.get(TRACEBACK_VARIABLE, "") not in ("", "0")


def sentence(error: BaseException) -> str | None:
    """Return one line about an error that comes from the machine; None for a program fault.

    >>> sentence(MemoryError())[:17]
    'not enough memory'
    >>> sentence(OSError(24, "Too many open files"))
    'Too many open files; raise `ulimit -n`'
    >>> sentence(KeyError("layer4")) is None
    True
    """
    return next((line for cause in _causes(error) if (line := _line(cause))), None)


def complete_environment() -> None:
    """Set the user name and the home folder that libraries ask for, if the user id has none.

    That is so in some containers. ``getpass.getuser``, which torch calls, then fails; and if HOME
    is unset as well, the hub's library would write into a folder ``~`` in the working folder.
    """
    number = os.getuid() if hasattr(os, "getuid") else 0
    try:
        getpass.getuser()
    except (KeyError, OSError, ImportError):  # the last two: Python 3.13, Windows
        os.environ["LOGNAME"] = f"user-{number}"
    if os.path.expanduser("~") == "~":  # noqa: PTH111
        os.environ["HOME"] = str(_home(Path(tempfile.gettempdir()) / f"milannotations-{number}"))


def _home(folder: Path) -> Path:
    """Return a folder that belongs to this user: this one, unless somebody else created it."""
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    own = folder.is_dir() and not folder.is_symlink() and folder.stat().st_uid == os.getuid()
    return folder if own else Path(tempfile.mkdtemp(prefix=f"{folder.name}-"))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what led to it."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        fault = isinstance(cause, _FAULTS) or cause.__suppress_context__
        cause = cause.__cause__ or (None if fault else cause.__context__)


def _line(error: BaseException) -> str | None:
    # Imported here, since commands that do not fail, such as `--help`, do not need it.
    from milannotations.storage import explained

    if told := explained(error):
        return str(told)
    message = _message(error)
    if isinstance(error, MemoryError) or _is_named(error, "OutOfMemoryError"):
        return _memory(message)
    if isinstance(error, (RuntimeError, ImportError, OSError)) and _NO_MEMORY.search(message):
        return _memory(message)
    if _is_named(error, "ValidationError") and hasattr(error, "title"):  # pydantic's
        return _schema(error)
    if isinstance(error, RecursionError):
        return (
            "something in the input is nested too deeply to be read; "
            f"{TRACEBACK_VARIABLE}=1 shows where"
        )
    if isinstance(error, UnicodeError):
        return f"a name or text cannot be read or written as it is encoded: {message}; use UTF-8"
    if isinstance(error, OSError):
        return _system(error, message)
    library = next((_LIBRARIES[n] for n in _LIBRARIES if _is_named(error, n)), None)
    if library is not None:
        return f"{library} cannot read or write a file: {message}"
    if isinstance(error, RuntimeError) and "determine home directory" in message:  # of pathlib
        return "the home folder of this user is not known; set HOME to a folder"
    if isinstance(error, RuntimeError) and _OF_THE_SYSTEM.search(message):
        return message
    return None


def _schema(error: Any) -> str:
    return f"a value cannot be used: {error.title}: {wrong_fields(error, 'it')}"


def _system(error: OSError, message: str) -> str:
    what = error.strerror or message
    named = error.filename
    if isinstance(named, (str, bytes, os.PathLike)):
        what = f"{Path(os.fsdecode(named))}: {what}"
    return f"{what}; raise `ulimit -n`" if error.errno in (23, 24) else what


def _memory(message: str) -> str:
    detail = f" ({message})" if message else ""
    return f"not enough memory{detail}; take smaller batches or inputs, or a machine with more"


def _message(error: BaseException) -> str:
    message = " ".join(str(error).split())
    return f"{message[:_LONGEST]} …" if len(message) > _LONGEST else message


def _is_named(error: BaseException, name: str) -> bool:
    """Say whether an error is of a class, without importing the library of that class."""
    return any(kind.__name__ == name for kind in type(error).__mro__)
