"""Client of warm servers that run commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Outcome:
    """How a run of a command ended.

    Attributes:
        status: Exit status; -9 if it was killed.
        seconds: Duration.
        out: Standard output.
        err: Standard error.
        changes: Changes to files below the counted folder: kind and paths.
    """

    status: int
    seconds: float
    out: str
    err: str
    changes: list[list[str]] = field(default_factory=list)

    @property
    def traceback(self) -> bool:
        """Whether a traceback or a message of the interpreter was printed."""
        both = self.out + self.err
        return "Traceback (most recent call last)" in both or "Exception ignored" in both

    @property
    def last_line(self) -> str:
        """The last line of standard error, or of standard output."""
        lines = [line for line in (self.err or self.out).splitlines() if line.strip()]
        return lines[-1] if lines else ""


class Server:
    """A warm process that runs commands; a context manager.

    Args:
        env: Variables that are added to the environment, or removed if the value is None.
        before: Command that starts the process, such as ``setpriv --reuid 12345 …``.
    """

    def __init__(self, env: Mapping[str, str | None], before: Sequence[str] = ()) -> None:
        whole: dict[str, str] = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            whole[name] = "1"
        whole |= {
            "ARROW_DEFAULT_MEMORY_POOL": "system",
            "JE_ARROW_MALLOC_CONF": "background_thread:false",  # one thread, so that forks are safe
            "HF_HUB_OFFLINE": "1",
            "TOKENIZERS_PARALLELISM": "false",
        }
        for name, value in env.items():
            if value is None:
                whole.pop(name, None)
            else:
                whole[name] = value
        command = [*before, sys.executable, "-m", "scripts.reliability.server"]
        self._process = subprocess.Popen(
            command, env=whole, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        ready = self._read()
        assert ready["threads"] == 1, f"the warm process has {ready['threads']} threads"

    def run(self, argv: Sequence[str], cwd: Path, **job: Any) -> Outcome:
        """Run one command; ``server._become`` reads ``job``."""
        return self.run_all([{"argv": list(argv), "cwd": str(cwd), **job}])[0]

    def run_all(self, jobs: Sequence[Mapping[str, Any]]) -> list[Outcome]:
        """Run several commands at the same time."""
        return [Outcome(**one) for one in self._ask({"jobs": list(jobs)})]

    def shell(self, command: str) -> str:
        """Run a shell command in the server's environment, such as its mount namespace."""
        done = self._ask({"shell": command})
        if done["status"]:
            raise RuntimeError(f"{command}: {done['said']}")
        return str(done["said"])

    def _ask(self, request: object) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the warm process ended with status {self._process.wait()}")
        return json.loads(line)

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
