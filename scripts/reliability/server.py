"""A warm process that runs commands in forked children, so that runs need no seconds of imports.

``python -m scripts.reliability.server`` reads requests as lines of JSON from standard input and
answers each with one line. It has one thread and runs no command itself: each command runs in a
child that is set up according to its job, and ends as the interpreter would end it.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import resource
import selectors
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

_HEAVY = (
    "torch", "torchvision", "datasets", "pandas", "pyarrow.parquet", "rich.console", "scipy.stats",
    "matplotlib.pyplot", "sentence_transformers", "transformers", "safetensors.torch",
    "sklearn.metrics", "benchmark", "nltk", "spacy", "rouge_score.rouge_scorer", "bert_score",
    "typer.main", "pygments", "httpx", "benchmark.sanity.suite", "benchmark.quality.measure",
    "milannotations.loading", "benchmark.harness", "benchmark.metrics.registry",
    "baselines.milan.training", "baselines.concepts.dissector", "leaderboard.render",
    "milannotations.exemplars.build", "milannotations.viewer.pages",
)  # fmt: skip
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Audit event: (arguments that are paths, arguments that are the folders of relative paths).
_CHANGES = {
    "os.mkdir": ((0,), (2,)),
    "os.rename": ((0, 1), (2, 3)),
    "os.remove": ((0,), (1,)),
    "os.rmdir": ((0,), (1,)),
    "os.link": ((0, 1), (2, 3)),
    "os.symlink": ((0, 1), (None, 2)),
    "os.truncate": ((0,), (None,)),
    "os.chmod": ((0,), (2,)),
}
_TIMEOUT_S = 300.0


def main() -> None:
    """Import what commands need, report readiness, and answer requests until the input ends."""
    for name in _HEAVY:
        importlib.import_module(name)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # so that stray output is not taken for an answer
    _answer(answers, {"ready": os.getpid(), "threads": len([*Path("/proc/self/task").iterdir()])})
    for line in sys.stdin:
        request = json.loads(line)
        if "shell" in request:
            done = subprocess.run(request["shell"], shell=True, capture_output=True, text=True)
            _answer(answers, {"status": done.returncode, "said": done.stdout + done.stderr})
            continue
        _answer(answers, _run_all(request["jobs"]))


def _answer(answers: Any, content: object) -> None:
    answers.write(json.dumps(content) + "\n")
    answers.flush()


def _run_all(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Run jobs at the same time; return the status, output and changes of each."""
    children = [_start(job) for job in jobs]
    with selectors.DefaultSelector() as waiting:
        for child in children:
            for name, pipe in child["pipes"].items():
                os.set_blocking(pipe, False)
                waiting.register(pipe, selectors.EVENT_READ, (child, name))
        end = time.monotonic() + _TIMEOUT_S
        while waiting.get_map():
            if time.monotonic() > end:
                for child in children:
                    os.kill(child["pid"], signal.SIGKILL)
                    child["said"]["err"] += b"\n(ended after the time limit)"
                break
            for key, _ in waiting.select(timeout=1.0):
                child, name = key.data
                if data := os.read(key.fd, 1 << 16):
                    child["said"][name] += data
                else:
                    waiting.unregister(key.fd)
    return [_end(child) for child in children]


def _start(job: dict[str, Any]) -> dict[str, Any]:
    pipes = {name: os.pipe() for name in ("out", "err", "changes")}
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        _become(job, {name: write for name, (_, write) in pipes.items()})
    for _, write in pipes.values():
        os.close(write)
    return {
        "pid": pid,
        "started": started,
        "pipes": {name: read for name, (read, _) in pipes.items()},
        "said": dict.fromkeys(pipes, b""),
    }


def _end(child: dict[str, Any]) -> dict[str, Any]:
    _, status = os.waitpid(child["pid"], 0)
    for pipe in child["pipes"].values():
        os.close(pipe)
    output = {name: text.decode("utf-8", "replace") for name, text in child["said"].items()}
    return {
        "status": os.waitstatus_to_exitcode(status),
        "seconds": round(time.monotonic() - child["started"], 3),
        "out": output["out"],
        "err": output["err"],
        "changes": [json.loads(line) for line in output["changes"].splitlines()],
    }


def _become(job: dict[str, Any], pipes: dict[str, int]) -> None:
    """Turn this child into the process of a command, run it, and end."""
    status = 70
    try:
        os.chdir(job["cwd"])
        for name, value in job.get("env", {}).items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        tempfile.tempdir = None  # set again from this job's TMPDIR
        if "umask" in job:
            os.umask(job["umask"])
        _set_streams(job, pipes)
        sys.argv = ["milannotations", *job["argv"]]
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if size := job.get("size_limit"):
            if job.get("size_kills"):  # by default Python ignores this signal and gets EFBIG
                signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        if "counted" in job:
            _Changes(job, pipes["changes"])
        if "await" in job:  # gives a tracer time to attach
            Path(job["await"]).read_text(encoding="utf-8")
        from milannotations.cli import main as command

        status = _status_of(command)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _status_of(command: Any) -> int:
    """Run a function as the interpreter runs a program, and return its exit status."""
    status = 0
    try:
        command()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            status = end.code or 0
        else:
            print(end.code, file=sys.stderr)
            status = 1
    except BaseException:
        traceback.print_exc()
        status = 1
    atexit._run_exitfuncs()
    return 120 if not _flushed(sys.stdout) or not _flushed(sys.stderr) else status


def _flushed(stream: Any) -> bool:
    """Flush a stream as the interpreter does at exit, where errors are printed."""
    try:
        if stream is not None and not stream.closed:
            stream.flush()
    except (OSError, ValueError) as error:
        os.write(2, f"Exception ignored: {type(error).__name__}: {error}\n".encode())
        return False
    return True


def _set_streams(job: dict[str, Any], pipes: dict[str, int]) -> None:
    os.dup2(pipes["out"], 1)
    os.dup2(pipes["err"], 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    encoding = job.get("encoding")
    how = job.get("stdout", "pipe")
    if how == "broken":
        read, write = os.pipe()
        os.close(read)
        os.dup2(write, 1)
    elif how == "full":
        os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
    # As the interpreter does: text that cannot be encoded raises on stdout, but not on stderr.
    sys.stdin = os.fdopen(0, encoding=encoding, closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding=encoding, closefd=False)
    sys.stderr = os.fdopen(
        2, "w", encoding=encoding, errors="backslashreplace", closefd=False, buffering=1
    )
    if how == "closed":
        os.close(1)
        sys.stdout = None  # type: ignore[assignment]
    if job.get("stdin") == "closed":
        os.close(0)
        sys.stdin = None  # type: ignore[assignment]
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc]


class _Changes:
    """Counts and reports the changes to files below a folder; kills this process at one of them.

    Python's audit hook runs before each change. It does not see changes made by libraries in C++
    and Rust; kills by size cover these, too.
    """

    def __init__(self, job: dict[str, Any], pipe: int) -> None:
        self._root = job["counted"].rstrip("/") + "/"
        self._skipped = tuple(f"{self._root}{name}/" for name in job.get("not_counted", ()))
        self._pipe = pipe
        self._kill_at = job.get("kill_at")
        self._after = job.get("kill_after", False)
        self._count = 0
        self._own = {self._on_event.__func__.__code__, self._kill_next.__func__.__code__}  # type: ignore[attr-defined]
        sys.addaudithook(self._on_event)

    def _on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, int) or not isinstance(flags, int) or not flags & _WRITING:
                return
            paths = [_whole(path, None)]
        elif event in _CHANGES:
            places, starts = _CHANGES[event]
            paths = [
                _whole(arguments[place], None if start is None else arguments[start])
                for place, start in zip(places, starts, strict=True)
            ]
        else:
            return
        if not paths[-1].startswith(self._root) or paths[-1].startswith(self._skipped):
            return
        self._count += 1
        names = [path.removeprefix(self._root) for path in paths]
        os.write(self._pipe, json.dumps([event.removeprefix("os."), *names]).encode() + b"\n")
        if self._count == self._kill_at:
            if not self._after:
                os.kill(os.getpid(), signal.SIGKILL)
            sys.setprofile(self._kill_next)

    def _kill_next(self, frame: Any, event: str, argument: Any) -> None:
        """Kill at the next event of the profiler that is not this class's own."""
        if frame.f_code not in self._own:
            os.kill(os.getpid(), signal.SIGKILL)


def _whole(path: Any, start: Any) -> str:
    """Return an absolute path; ``start`` is the descriptor of the folder of a relative one."""
    if isinstance(path, int):
        return str(Path(f"/proc/self/fd/{path}").readlink())
    begin = Path.cwd()
    if isinstance(start, int) and start >= 0:
        begin = Path(f"/proc/self/fd/{start}").readlink()
    return os.path.normpath(begin / os.fsdecode(path))


if __name__ == "__main__":
    main()
