"""Run commands without disk space, permissions, a user name or a terminal, or two at once."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.reliability.cases import Case
from scripts.reliability.client import Outcome, Server
from scripts.reliability.stage import Stage
from scripts.reliability.trees import Tree, differences, half_done, hidden

USUAL, REFUSED = "as usual", "refused with a sentence"
TRACEBACK, HALF, DIFFERS, LEFT = "traceback", "half a result", "other results", "leftovers"
NO_SENTENCE = "ended without a sentence"
OUTCOMES = (USUAL, REFUSED, NO_SENTENCE, TRACEBACK, HALF, DIFFERS, LEFT)
GOOD = (USUAL, REFUSED)
STRANGER = 12345  # a user id without a name
_PAGE = 4096
_STARTS_PYTHON = (
    "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import numpy'], check=True)"
)
_SHARES = (0.0, 0.5, 0.95)


@dataclass
class Tally:
    """Outcomes of the runs in one kind of surroundings.

    Attributes:
        name: Name of the surroundings.
        counts: Number of runs by outcome.
        failures: A line about each failure.
        sentences: Message of each command that refused, by command.
        skipped: Why nothing was run; empty if something was.
    """

    name: str
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    skipped: str = ""

    def add(self, case: Case, what: str, outcome: str, told: str) -> None:
        """Count a run."""
        self.counts[outcome] += 1
        if outcome == REFUSED:
            self.sentences.append(f"{case.name}{what}: {told}")
        elif outcome != USUAL:
            self.failures.append(f"{case.name}{what}: {outcome}: {told}")
            print(f"{self.name}: {self.failures[-1]}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Plain:
    """The result of a command in normal surroundings."""

    old: Tree
    new: Tree

    @property
    def grown(self) -> int:
        """Number of paths that the command changes."""
        return len(differences(self.old, self.new))


def plainly(stage: Stage, server: Server, case: Case) -> Plain:
    """Run a command in normal surroundings.

    Raises:
        RuntimeError: If it fails.
    """
    stage.prepare(server, case)
    old = stage.tree()
    done = stage.run(server, case)
    if done.status:
        raise RuntimeError(f"{case.name}: {done.err}{done.out}")
    return Plain(old, stage.tree())


def judge(
    done: Outcome, now: Tree, plain: Plain, case: Case, any_status: bool = False
) -> tuple[str, str]:
    """Return the outcome of a run, and a line about it.

    Args:
        done: The run.
        now: The tree after it.
        plain: The result in normal surroundings.
        case: The command.
        any_status: Whether any exit status is right, as when output is lost to a broken pipe.
    """
    if done.traceback:
        lines = [line for line in (done.err + done.out).splitlines() if line.strip()]
        return TRACEBACK, lines[-1][:300] if lines else ""
    if done.status == 0 or (any_status and _same(now, plain.new)):
        wrong = [] if _same(now, plain.new) else differences(_seen(now), _seen(plain.new))
        return (DIFFERS, ", ".join(wrong[:3])) if wrong else (USUAL, "")
    if wrong := half_done(now, plain.old, plain.new, case.whole):
        return HALF, ", ".join(wrong[:3])
    sentence = re.search(r"^error: (.*)", done.err, re.DOTALL | re.MULTILINE)
    if done.status not in (1, 2) or sentence is None:
        return NO_SENTENCE, f"status {done.status}: {done.last_line[:300]}"
    return REFUSED, " ".join(sentence[1].split())


def _seen(tree: Tree) -> Tree:
    """Return the results in a tree, without locks, temporary files and caches of libraries."""
    return {
        path: content
        for path, content in tree.items()
        if not hidden(path) and path.split("/")[0] not in ("tmp", "user")
    }


def _same(now: Tree, new: Tree) -> bool:
    return _seen(now) == _seen(new)


Job = Mapping[str, Any]
STREAMS: dict[str, Job] = {
    "output in cp1252": {"encoding": "cp1252"},
    "output in ASCII": {"encoding": "ascii"},
    "output into a closed pipe": {"stdout": "broken"},
    "output to a full disk": {"stdout": "full"},
    "standard output closed": {"stdout": "closed"},
    "standard input closed": {"stdin": "closed"},
}


def try_streams(stage: Stage, server: Server, cases: Sequence[Case]) -> list[Tally]:
    """Run commands whose output cannot be shown, or whose streams are closed."""
    tallies = {name: Tally(name) for name in STREAMS}
    for case in cases:
        plain = plainly(stage, server, case)
        for name, job in STREAMS.items():
            stage.reset()
            done = stage.run(server, case, **job)
            lost = job.get("stdout") in ("broken", "full")
            outcome, told = judge(done, stage.tree(), plain, case, any_status=lost)
            tallies[name].add(case, "", outcome, told)
    return list(tallies.values())


def try_elsewhere(
    stage: Stage, usual: Server, odd: Server, cases: Sequence[Case], name: str
) -> list[Tally]:
    """Run commands in a server with an odd environment; compare with a normal one's results."""
    tally = Tally(name)
    for case in cases:
        plain = plainly(stage, usual, case)
        stage.reset()
        done = stage.run(odd, case)
        tally.add(case, "", *judge(done, stage.tree(), plain, case))
    return [tally]


def try_two_at_once(stage: Stage, server: Server, cases: Sequence[Case]) -> list[Tally]:
    """Run a command twice at the same time, also with separate temporary folders."""
    shared, apart = Tally("two at once"), Tally("two at once, TMPDIR of their own")
    for case in cases:
        plain = plainly(stage, server, case)
        for tally, own in ((shared, False), (apart, True)):
            stage.reset()
            jobs = []
            for number in (1, 2):
                job = {"argv": case.argv, "cwd": str(stage.root / "work")}
                if own:
                    temporary = stage.root / "tmp" / str(number)
                    temporary.mkdir()
                    job["env"] = {"TMPDIR": str(temporary)}
                jobs.append(job)
            _judge_two(tally, case, server.run_all(jobs), stage.tree(), plain)
    return [shared, apart]


def _judge_two(tally: Tally, case: Case, both: Sequence[Outcome], now: Tree, plain: Plain) -> None:
    judged = [judge(done, now, plain, case) for done in both]
    outcomes = [outcome for outcome, _ in judged]
    if outcomes.count(REFUSED) == 2:
        tally.add(case, "", NO_SENTENCE, f"neither ran: {judged[0][1]}")
        return
    worst = next((pair for pair in judged if pair[0] not in GOOD), None)
    if worst is None and not _same(now, plain.new):
        worst = DIFFERS, ", ".join(differences(_seen(now), _seen(plain.new))[:3])
    if worst is not None:
        tally.add(case, "", *worst)
    else:
        refused = [pair for pair in judged if pair[0] == REFUSED]
        tally.add(case, "", *(refused[0] if refused else (USUAL, "")))


def try_read_only(stage: Stage, server: Server, cases: Sequence[Case]) -> list[Tally]:
    """Run commands as a user without write permission for some of the folders."""
    places = {
        "target folder read-only": ("work",),
        "homes read-only": ("home", "user"),
        "temporary folder read-only": ("tmp",),
    }
    tallies = {name: Tally(name) for name in places}
    for case in cases:
        plain = plainly(stage, server, case)
        for name, parts in places.items():
            stage.reset()
            folders = [stage.root / part for part in parts]
            with _read_only(server, folders):
                done = stage.run(server, case)
                now = stage.tree()
            tallies[name].add(case, "", *judge(done, now, plain, case))
    return list(tallies.values())


@contextmanager
def _read_only(server: Server, folders: Sequence[Path]) -> Iterator[None]:
    for folder in folders:
        server.shell(f"find '{folder}' -type d -exec chmod a-w {{}} +")
    try:
        yield
    finally:
        for folder in folders:
            server.shell(f"find '{folder}' -type d -exec chmod u+w {{}} +")


def try_full_disk(stage: Stage, server: Server, cases: Sequence[Case]) -> list[Tally]:
    """Run commands on a small disk that fills up early, in the middle or late.

    The stage's root must be a memory disk that can be shrunk: see ``small_disk``.
    """
    tally = Tally("full disk")
    for case in cases:
        _resize(stage, None)
        plain = plainly(stage, server, case)
        growth = _pages(stage)
        stage.reset()
        growth -= _pages(stage)
        if growth <= 0 and not plain.grown:
            continue
        for share in _SHARES:
            _resize(stage, None)
            stage.reset()
            _resize(stage, _used(stage) + max(0, int(growth * share)) * _PAGE)
            done = stage.run(server, case)
            now = stage.tree()
            outcome, told = judge(done, now, plain, case)
            if outcome == REFUSED:
                _resize(stage, None)
                outcome, told = _rerun(stage, server, case, plain, told)
            tally.add(case, f" ({share:.0%} of the room)", outcome, told)
    _resize(stage, None)
    return [tally]


def try_limited_files(stage: Stage, server: Server, cases: Sequence[Case]) -> list[Tally]:
    """Run commands with a limit on the size of files, which fails like a full disk."""
    tally = Tally("no room for a file")
    for case in cases:
        plain = plainly(stage, server, case)
        files = [path for path in (stage.root / "work").rglob("*") if path.is_file()]
        sizes = sorted({path.stat().st_size for path in files} - {0})
        if not plain.grown or not sizes:
            continue
        for size in sorted({sizes[int((len(sizes) - 1) * share)] // 2 or 1 for share in _SHARES}):
            stage.reset()
            done = stage.run(server, case, size_limit=size)
            outcome, told = judge(done, stage.tree(), plain, case)
            if outcome == REFUSED:
                outcome, told = _rerun(stage, server, case, plain, told)
            tally.add(case, f" (files of {size} bytes)", outcome, told)
    return [tally]


def _rerun(stage: Stage, server: Server, case: Case, plain: Plain, told: str) -> tuple[str, str]:
    """Run the command again, with space: it must give its results, and leave nothing else."""
    again = stage.run(server, case)
    now = stage.tree()
    if again.status:
        return NO_SENTENCE, f"the next run, with room, fails: {again.last_line[:300]}"
    if not _same(now, plain.new):
        return DIFFERS, ", ".join(differences(_seen(now), _seen(plain.new))[:3])
    left = [path for path in differences(now, plain.new) if path not in plain.new]
    return (LEFT, ", ".join(left[:3])) if left else (REFUSED, told)


def _used(stage: Stage) -> int:
    facts = os.statvfs(stage.root)
    return (facts.f_blocks - facts.f_bfree) * facts.f_frsize


def _pages(stage: Stage) -> int:
    return _used(stage) // _PAGE


def _resize(stage: Stage, size: int | None) -> None:
    option = f"remount,size={size or '512m'}"
    subprocess.run(["mount", "-o", option, str(stage.root)], check=True, capture_output=True)


def small_disk(root: Path) -> None:
    """Mount a memory disk; only within a separate mount namespace."""
    root.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=512m", "tmpfs", str(root)]
    subprocess.run(command, check=True, capture_output=True)


def namespaces() -> bool:
    """Return whether this user may create a mount namespace and mount memory disks in it."""
    if shutil.which("unshare") is None:
        return False
    done = subprocess.run(
        ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True
    )
    return done.returncode == 0


def as_stranger() -> list[str] | None:
    """Return the prefix that runs a command under a user id without a name, or None."""
    identity = str(STRANGER)
    other = ["setpriv", "--reuid", identity, "--regid", identity, "--clear-groups"]
    # If Python lies in a folder of root, this permits reading it, but no writing.
    reading = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
    mapped = ["unshare", "--user", f"--map-user={identity}", f"--map-group={identity}"]
    for way in (other, [*other, *reading], mapped):
        if shutil.which(way[0]) is None:
            continue
        command = [*way, sys.executable, "-c", _STARTS_PYTHON]
        if subprocess.run(command, capture_output=True).returncode == 0:
            return way
    return None


Trial = Callable[[Stage, Server, Sequence[Case]], list[Tally]]
