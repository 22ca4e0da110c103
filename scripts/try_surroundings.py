"""Run every command on a full disk, without write permission, as nobody, and in odd terminals.

``python scripts/try_surroundings.py`` runs all commands on tiny inputs in all surroundings and
prints the table of docs/reliability.md; ``--write`` puts it there. A command must give its usual
result, or one line that says what is wrong, nothing half-written, and the usual result in the next
run. The script needs no root privileges: a memory disk is mounted in a separate namespace. Without
namespaces, only a limit on the size of files is tested. Skipped surroundings are reported.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scripts.reliability.cases import Case, select  # noqa: E402
from scripts.reliability.client import Server  # noqa: E402
from scripts.reliability.pages import put  # noqa: E402
from scripts.reliability.stage import Stage  # noqa: E402
from scripts.reliability.surroundings import (  # noqa: E402
    OUTCOMES,
    Tally,
    as_stranger,
    namespaces,
    small_disk,
    try_elsewhere,
    try_full_disk,
    try_limited_files,
    try_read_only,
    try_streams,
    try_two_at_once,
)

PAGE = ROOT / "docs" / "reliability.md"
_C = {"LC_ALL": "C", "LANG": None, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0",
      "PYTHONIOENCODING": None}  # fmt: skip
_NOBODY = {"USER": None, "LOGNAME": None}


def _elsewhere(name: str, env: dict[str, str | None]) -> Callable[..., list[Tally]]:
    def run(stage: Stage, server: Server, cases: Sequence[Case]) -> list[Tally]:
        with Server({**stage.env, **env}) as odd:
            return try_elsewhere(stage, server, odd, cases, name)

    return run


# Name: (function of the trial, kind of process that it needs).
TRIALS: dict[str, tuple[Callable[..., list[Tally]], str]] = {
    "full-disk": (try_full_disk, "disk"),
    "limited-files": (try_limited_files, ""),
    "read-only": (try_read_only, "stranger"),
    "stranger": (_elsewhere("a user id without a name", _NOBODY), "stranger"),
    "homeless": (_elsewhere("such an id, and no HOME", {**_NOBODY, "HOME": None}), "stranger"),
    "locale": (_elsewhere("LC_ALL=C, PYTHONUTF8=0", _C), ""),
    "streams": (try_streams, ""),
    "two": (try_two_at_once, ""),
}


def main() -> int:
    """Print the table and all failures; return 1 if there are failures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=TRIALS, default=list(TRIALS))
    parser.add_argument("--commands", nargs="+", help="beginnings of names; default all")
    parser.add_argument("--slow", action="store_true", help="also commands of over ten seconds")
    parser.add_argument("--variants", action="store_true", help="also commands over older results")
    parser.add_argument("--sentences", action="store_true", help="print what commands said")
    parser.add_argument("--write", action="store_true", help=f"write the table to {PAGE.name}")
    parser.add_argument(
        "--scratch", type=Path, help="folder whose inputs are used again; one for each user"
    )
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    cases = select(options.commands, options.slow)
    if options.commands is None and not options.variants:
        cases = [case for case in cases if not case.variant]
    if options.inside:
        tallies = _run(options.only[0], cases, options.scratch)
        print(json.dumps([vars(tally) for tally in tallies]))
        return 0
    tallies: list[Tally] = []
    for name in options.only:
        for tally in run(name, options):
            print(_row(tally), file=sys.stderr, flush=True)
            if options.sentences:
                print(*(f"  {line}" for line in tally.sentences), sep="\n", file=sys.stderr)
            tallies.append(tally)
    text = table(tallies)
    print(text)
    if options.write:
        put(PAGE, "surroundings", text)
    return int(any(tally.failures for tally in tallies))


def run(name: str, options: argparse.Namespace) -> list[Tally]:
    """Run one trial in a separate process of the kind that it needs."""
    before = _starter(TRIALS[name][1])
    if before is None:
        return [Tally(name, skipped="neither namespaces nor another user can be had here")]
    command = [*before, sys.executable, __file__, "--only", name, "--inside"]
    if options.scratch:
        command += ["--scratch", str(options.scratch)]
    command += [f"--{name}" for name in ("slow", "variants") if getattr(options, name)]
    if options.commands:
        command += ["--commands", *options.commands]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd="/", check=True)
    return [
        Tally(**{**content, "counts": Counter(content["counts"])})
        for content in json.loads(done.stdout.splitlines()[-1])
    ]


def _starter(needed: str) -> list[str] | None:
    if needed == "disk":
        return ["unshare", "-rm"] if namespaces() else None
    if needed == "stranger":
        return as_stranger()
    return []


def _run(name: str, cases: Sequence[Case], scratch: Path | None) -> list[Tally]:
    trial, needed = TRIALS[name]
    with tempfile.TemporaryDirectory(prefix="surroundings-") as temporary:
        stage = Stage(scratch or Path(temporary))
        if needed == "disk":
            small_disk(stage.root)
        try:
            with Server(stage.env) as server:
                stage.write_inputs(server)
                return trial(stage, server, cases)
        finally:
            if needed == "disk":
                subprocess.run(["umount", str(stage.root)], check=True)


def table(tallies: Sequence[Tally]) -> str:
    """Return the table as Markdown."""
    lines = [
        f"| surrounding | {' | '.join(OUTCOMES)} |",
        f"| --- |{' ---: |' * len(OUTCOMES)}",
    ]
    return "\n".join([*lines, *map(_row, tallies)])


def _row(tally: Tally) -> str:
    if tally.skipped:
        return f"| {tally.name} | not tried: {tally.skipped} |{' |' * (len(OUTCOMES) - 1)}"
    counts = " | ".join(str(tally.counts[outcome]) for outcome in OUTCOMES)
    return f"| {tally.name} | {counts} |"


if __name__ == "__main__":
    sys.exit(main())
