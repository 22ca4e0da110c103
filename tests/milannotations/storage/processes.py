"""Other processes that write, wait or are killed at a certain point."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_BEFORE = (
    "import json, os, signal, sys, time\n"
    "from pathlib import Path\n"
    "from milannotations.errors import InputError\n"
    "from milannotations.storage import *\n"
    "target = Path(sys.argv[1])\n"
    "def die():\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    "def pause():\n    print('there', flush=True); sys.stdin.read()\n"
)


@contextmanager
def running(
    code: str, target: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run code up to its ``pause()``, where it stays until its standard input is closed."""
    process = start(code, target, environment)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def start(
    code: str, target: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Run code about ``target`` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", _BEFORE + code, str(target)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(environment) if environment is not None else None,
    )


def killed(code: str, target: Path) -> None:
    """Run code that ends in ``die()``."""
    process = start(code, target)
    _, errors = process.communicate()
    assert process.returncode == -9, errors


def hidden(folder: Path) -> list[str]:
    """Return the names of all hidden files and folders below a folder."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob(".*"))
