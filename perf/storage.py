"""Measure the cost of writing files atomically: locks, flushing to disk, renaming.

Usage: python perf/storage.py [FOLDER]    (a folder on the disk to measure; default that of TMPDIR)
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from milannotations.storage import atomic_folder, atomic_path, locked

_FILES, _TEXT = 1000, "x" * 5000


def _timed(title: str, action: Callable[[], None], count: int) -> None:
    began = time.perf_counter()
    action()
    print(f"{title:<52} {1000 * (time.perf_counter() - began) / count:8.3f} ms each")


def measure(folder: Path) -> None:
    """Print milliseconds for each way of writing a file of 5 kB."""

    def plain() -> None:
        for number in range(_FILES):
            (folder / f"plain-{number}").write_text(_TEXT, encoding="utf-8")

    def atomic() -> None:
        for number in range(_FILES):
            with atomic_path(folder / f"atomic-{number}") as path:
                path.write_text(_TEXT, encoding="utf-8")

    def in_folder() -> None:
        with atomic_folder(folder / "whole") as whole:
            for number in range(_FILES):
                (whole / str(number)).write_text(_TEXT, encoding="utf-8")

    def lock() -> None:
        for _ in range(_FILES):
            with locked(folder / "target"):
                pass

    _timed("written to their names, neither whole nor flushed", plain, _FILES)
    _timed("each by atomic_path", atomic, _FILES)
    _timed("together in a folder by atomic_folder", in_folder, _FILES)
    _timed("a lock, taken and removed", lock, _FILES)


def main() -> None:
    """Measure in a new folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    with tempfile.TemporaryDirectory(dir=parser.parse_args().folder) as folder:
        measure(Path(folder))


if __name__ == "__main__":
    main()
