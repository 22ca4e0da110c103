"""Kill each command at every change that it makes to files, run it again, and compare.

``python scripts/kill_everywhere.py`` tests all commands on tiny inputs and prints the table of
docs/reliability.md; ``--write`` puts it there. ``--commands score render --every 7`` tests the
named commands at every seventh change. It needs no root privileges and writes only below
``--scratch``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scripts.reliability.cases import select  # noqa: E402
from scripts.reliability.client import Server  # noqa: E402
from scripts.reliability.kills import Row, kill_everywhere  # noqa: E402
from scripts.reliability.pages import put  # noqa: E402
from scripts.reliability.stage import Stage  # noqa: E402

PAGE = ROOT / "docs" / "reliability.md"


def main() -> int:
    """Print the table and all failures; return 1 if there are failures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commands", nargs="+", help="beginnings of names; default all")
    parser.add_argument("--every", type=int, default=1, help="kill at every so manieth change")
    parser.add_argument("--scratch", type=Path, help="folder to run in; default a temporary one")
    parser.add_argument("--failures", type=int, default=5, help="lines to print per command")
    parser.add_argument("--write", action="store_true", help=f"write the table to {PAGE.name}")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kills-") as temporary:
        rows = run(options.scratch or Path(temporary), options.commands, options.every,
                   options.failures)  # fmt: skip
    text = table(rows)
    print(text)
    if options.write:
        put(PAGE, "kills", text)
    return int(not all(row.good for row in rows))


def run(scratch: Path, commands: list[str] | None, every: int, shown: int = 5) -> list[Row]:
    """Test commands; report progress on standard error."""
    scratch.mkdir(parents=True, exist_ok=True)
    stage = Stage(scratch)
    rows = []
    with Server(stage.env) as server:
        stage.write_inputs(server)
        for case in select(commands):
            started = time.monotonic()
            row = kill_everywhere(stage, server, case, every)
            rows.append(row)
            seconds = time.monotonic() - started
            print(
                f"{row.name}: {row.changes} changes, {row.killed} kills, {len(row.failures)} "
                f"failures ({seconds:.0f} s)",
                *(f"  {line}" for line in row.failures[:shown]), sep="\n", file=sys.stderr,
            )  # fmt: skip
    return rows


def table(rows: list[Row]) -> str:
    """Return the table as Markdown."""
    lines = [
        "| command | changes to files | kills | nothing half done | next run the same "
        "| nothing left |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {row.name} | {row.changes} | {row.killed} | {row.sound} | {row.same} | {row.tidy} |"
        for row in rows
    ]
    totals = [sum(getattr(row, name) for row in rows)
              for name in ("changes", "killed", "sound", "same", "tidy")]  # fmt: skip
    lines.append("| **all** | " + " | ".join(f"**{total:,}**" for total in totals) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
