"""Kill a command at each of its changes to files, and run it again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from scripts.reliability.cases import Case
from scripts.reliability.client import Server
from scripts.reliability.stage import Stage
from scripts.reliability.trees import Tree, differences, half_done

_KILLED = -9
_TOO_LARGE = -25  # SIGXFSZ: a file of the process grew beyond the limit


@dataclass
class Row:
    """Outcomes of the kills of one command.

    Attributes:
        name: Name of the command.
        changes: Number of changes to files in an undisturbed run.
        killed: Number of kills, including those at the size of a file.
        same: Number of kills after which the next run gave the same result, byte for byte.
        sound: Number of kills after which only old or new results were visible, each complete.
        tidy: Number of kills after which the next run left nothing beside the results.
        failures: A line about each failure.
    """

    name: str
    changes: int = 0
    killed: int = 0
    same: int = 0
    sound: int = 0
    tidy: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether every kill was survived."""
        return bool(self.killed) and not self.failures


def kill_everywhere(stage: Stage, server: Server, case: Case, every: int = 1) -> Row:
    """Kill a command at every change to files, and run it again each time.

    Kills come immediately before each change; also immediately after a file is opened, when it is
    empty, and after the last change; and in the middle of some files. The state after any other
    change is the state before the next one. Only each ``every``-th of these kills is made.
    """
    row = Row(case.name)
    stage.prepare(server, case)
    old = stage.tree()
    whole = stage.run(server, case, **stage.counted)
    if whole.status:
        row.failures.append(f"fails when nothing disturbs it: {whole.last_line}")
        return row
    new = stage.tree()
    row.changes = len(whole.changes)
    for what, job in [*_kills(whole.changes)][::every] + _sizes(stage, every):
        stage.reset()
        killed = stage.run(server, case, **stage.counted, **job)
        if killed.status not in (_KILLED, _TOO_LARGE):
            continue  # one change fewer than before, as names of temporary files are random
        row.killed += 1
        _judge(row, stage, server, case, what, old, new)
    return row


def _kills(changes: list[list[str]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, (kind, *paths) in enumerate(changes, start=1):
        what = f"{kind} {' to '.join(paths)}"
        yield f"before {what}", {"kill_at": number}
        if kind == "open" or number == len(changes):
            yield f"after {what}", {"kill_at": number, "kill_after": True}


def _sizes(stage: Stage, every: int) -> list[tuple[str, dict[str, Any]]]:
    """Return kills when a file grows beyond half the final size of one of the written files."""
    files = [path for path in (stage.root / "work").rglob("*") if path.is_file()]
    halves = sorted({path.stat().st_size // 2 for path in files} - {0})
    count = max(1, 6 // every)
    chosen = halves[:: max(1, len(halves) // count)][:count]
    return [
        (f"when a file is longer than {size} bytes", {"size_limit": size, "size_kills": True})
        for size in chosen
    ]


def _judge(
    row: Row, stage: Stage, server: Server, case: Case, what: str, old: Tree, new: Tree
) -> None:
    wrong = half_done(stage.tree(), old, new, case.whole)
    row.sound += not wrong
    if wrong:
        row.failures.append(f"{what}: half done: {', '.join(wrong[:3])}")
    again = stage.run(server, case)
    tree = stage.tree()
    if again.status and tree != new:  # refusing is right if the finished result exists
        row.failures.append(f"{what}: the next run fails: {again.last_line}")
        return
    different = differences(tree, new)
    left = [path for path in different if path not in new]
    changed = [path for path in different if path in new]
    row.tidy += not left
    row.same += not changed
    if left:
        row.failures.append(f"{what}: left: {', '.join(left[:3])}")
    if changed:
        row.failures.append(f"{what}: differs: {', '.join(changed[:3])}")
