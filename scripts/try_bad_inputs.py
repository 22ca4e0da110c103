"""Run every bad input of tests/bad_inputs through every reader, and write the table of outcomes.

    python scripts/try_bad_inputs.py            # prints the table and all failures
    python scripts/try_bad_inputs.py --write    # writes docs/security.md and docs/inputs.md

For each input, a reader runs in a child process with limited memory, which is killed if it does not
answer. The exit status is 1 if any input was silently accepted or ended in a traceback.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import select
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
for _threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_threads, "1")
os.environ["HF_HUB_OFFLINE"] = "1"

from tests.bad_inputs.cases import (  # noqa: E402
    SECONDS,
    Case,
    Reader,
    Seen,
    inputs_table,
    judged,
    pairs,
    readers,
    seen,
    table,
)

PAGE = ROOT / "docs" / "security.md"
INPUTS = ROOT / "docs" / "inputs.md"
BEGIN, END = "<!-- bad inputs: begin -->\n", "\n<!-- bad inputs: end -->"
MEMORY = 4 << 30  # bytes that a reader may use in addition to Python and its libraries


def main() -> int:
    """Run all pairs, print the table, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into docs/security.md")
    parser.add_argument("--only", default="", help="only cases and readers with this in their name")
    asked = parser.parse_args()
    counts: dict[str, Counter[str]] = {name: Counter() for name in readers()}
    wrong = 0
    for case, one in pairs():
        label = f"{case.kind}/{case.name}: {one.name}"
        if asked.only not in label:
            continue
        what = _guarded(case, one)
        outcome = judged(case, one, what)
        counts[one.name][outcome] += 1
        if outcome in ("silent", "traceback"):
            wrong += 1
            print(
                f"{outcome}: {label} ({case.wrong}): {what.sentence or what.value}", file=sys.stderr
            )
    counted = table({name: count for name, count in counts.items() if count or not asked.only})
    print(counted)
    if asked.write:
        _put(PAGE, counted)
        _put(INPUTS, inputs_table())
    return 1 if wrong else 0


def _put(page: Path, text: str) -> None:
    """Write a text between the markers of a page."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{begin}{text}{END}{after}", encoding="utf-8")


def _guarded(case: Case, one: Reader) -> Seen:
    """Run a pair in a child, so that a crash, a hang or too much memory ends only the child."""
    with tempfile.TemporaryDirectory() as work:
        heard, told = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(heard)
            _answer(case, one, Path(work), told)
        os.close(told)
        answer = b""
        with os.fdopen(heard, "rb") as pipe:
            while select.select([pipe], [], [], SECONDS + 30)[0]:
                chunk = os.read(pipe.fileno(), 1 << 16)
                if not chunk:
                    break
                answer += chunk
            else:
                os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
    if not answer:
        return Seen("traceback", f"the process ended with status {status}")
    return Seen(*json.loads(answer))


def _answer(case: Case, one: Reader, work: Path, pipe: int) -> None:
    """Run a pair with limited memory, and write the outcome."""
    try:
        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, held + MEMORY))
        what = seen(case, one, work)
        with os.fdopen(pipe, "w", encoding="utf-8") as file:
            json.dump([what.outcome, what.sentence, what.value], file)
    finally:
        os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
