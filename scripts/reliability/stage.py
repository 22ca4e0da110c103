"""Where commands run: a folder that is reset to the same path and content for every run."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from scripts.reliability.cases import PRODUCTS, Case, normalise
from scripts.reliability.client import ROOT, Outcome, Server
from scripts.reliability.trees import CACHES, Tree, bound_pairs, snapshot

PARTS = ("work", "home", "tmp", "user")
ALWAYS = ("my",)  # inputs that are needed without being named in a command


class Stage:
    """A folder with a working folder, homes and a temporary folder, for one run at a time.

    Args:
        scratch: Folder that holds the stage.
    """

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch.resolve()
        self.root = self.scratch / "run"
        self._inputs = self.scratch / "inputs"
        self._start = self.scratch / "start"

    @property
    def env(self) -> dict[str, str | None]:
        """The environment of a server, so that it writes only into the stage."""
        return {
            "MILANNOTATIONS_HOME": str(self.root / "home"),
            "HOME": str(self.root / "user"),
            "TMPDIR": str(self.root / "tmp"),
            "HF_HOME": str(self.root / "hf"),
            "XDG_CACHE_HOME": None,
            "MPLCONFIGDIR": str(self.scratch / "matplotlib"),
        }

    @property
    def counted(self) -> dict[str, Any]:
        """The part of a job that requests its changes."""
        return {"counted": str(self.root), "not_counted": CACHES}

    def write_inputs(self, server: Server) -> None:
        """Write all inputs unless they exist, including those that other commands write."""
        if (self._inputs / "done").exists():
            return
        shutil.rmtree(self._inputs, ignore_errors=True)
        self._empty()
        command = [sys.executable, "-m", "scripts.reliability.inputs", str(self.root / "work")]
        subprocess.run(command, cwd=ROOT, check=True, env=_plain(self.env))
        for command_line in PRODUCTS.values():
            done = server.run(shlex.split(command_line), self.root / "work")
            if done.status:
                raise RuntimeError(f"{command_line}: {done.err}{done.out}")
        shutil.copytree(self.root, self._inputs, symlinks=True, ignore=_caches)
        (self._inputs / "done").touch()

    def prepare(self, server: Server, case: Case) -> None:
        """Make the state in which the command starts, with any older result that it replaces."""
        shutil.rmtree(self._start, ignore_errors=True)
        self._copy(self._inputs, f"{case.command} {case.old}")
        if case.old:
            done = server.run(shlex.split(case.old), self.root / "work")
            if done.status:
                raise RuntimeError(f"{case.old}: {done.err}{done.out}")
        shutil.copytree(self.root, self._start, symlinks=True, ignore=_caches)

    def reset(self) -> None:
        """Restore the state that ``prepare`` made."""
        self._copy(self._start)

    def run(self, server: Server, case: Case, **job: Any) -> Outcome:
        """Run the command."""
        return server.run(case.argv, self.root / "work", **job)

    def tree(self) -> Tree:
        """Return the current tree, with the working folder's paths relative to it."""
        tree = snapshot(self.root, normalise) | bound_pairs(self.root)
        return {path.removeprefix("work/"): content for path, content in tree.items()}

    def _empty(self) -> None:
        # The root may be a mounted disk, so it is kept; other libraries' caches are kept, as they
        # would be for a user.
        for name in CACHES:
            (self.root / name).mkdir(parents=True, exist_ok=True)
        for name in PARTS:
            shutil.rmtree(self.root / name, ignore_errors=True)
            (self.root / name).mkdir()

    def _copy(self, source: Path, command: str | None = None) -> None:
        """Copy a state of the stage, with only those inputs that a command names."""

        def unneeded(folder: str, names: list[str]) -> set[str]:
            if command is None or Path(folder) != source / "work":
                return set()
            return {name for name in names if name not in command and name not in ALWAYS}

        self._empty()
        for name in PARTS:
            shutil.copytree(
                source / name, self.root / name, symlinks=True, ignore=unneeded, dirs_exist_ok=True
            )


_caches = shutil.ignore_patterns(*CACHES)


def _plain(env: dict[str, str | None]) -> dict[str, str]:
    whole = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return whole | {name: value for name, value in env.items() if value is not None}
