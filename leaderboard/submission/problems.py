"""Collecting everything that is wrong with a submission, to report it at once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from milannotations.errors import InputError
from milannotations.untrusted_text import clean, clip

SHOWN = 5  # of one kind: a file with one fault in every line must not fill the screen
_STORED = 100  # of one kind; further ones are only counted


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        file: Name of the file in the submission.
        line: Its line, counted from 1 (in a Parquet file, the row); None for the file as a whole.
        kind: Problems of one kind are counted together.
        message: What is wrong, and what to do about it.
    """

    file: str
    line: int | None
    kind: str
    message: str

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.message}"


@dataclass
class Problems:
    """A list of problems. Texts in them come from strangers, so they are cleaned and clipped.

    >>> problems = Problems()
    >>> problems.add("descriptions.csv", 2, "units", "unit 'x' is not a number")
    >>> problems.lines()
    ["descriptions.csv:2: unit 'x' is not a number"]
    """

    items: list[Problem] = field(default_factory=list)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, file: str, line: int | None, kind: str, message: str) -> None:
        """Add a problem; after the first hundred of a kind, further ones are only counted."""
        self.counts[file, kind] += 1
        if self.counts[file, kind] <= _STORED:
            self.items.append(Problem(file, line, kind, clip(clean(message), 500)))

    def __bool__(self) -> bool:
        return bool(self.items)

    @property
    def total(self) -> int:
        """The number of problems, including those that were only counted."""
        return sum(self.counts.values())

    def lines(self, shown: int = SHOWN) -> list[str]:
        """Return a line for each problem, sorted by file and line.

        Args:
            shown: How many problems of one kind are listed; a further line counts the others.
        """
        listed: Counter[tuple[str, str]] = Counter()
        lines = []
        for problem in sorted(self.items, key=lambda p: (p.file, p.line is not None, p.line or 0)):
            key = (problem.file, problem.kind)
            listed[key] += 1
            if listed[key] <= shown:
                lines.append(str(problem))
            elif listed[key] == shown + 1:
                more = self.counts[key] - shown
                lines.append(f"{problem.file}: … and {more:,} more: {problem.kind}")
        return lines

    def raise_any(self) -> None:
        """Do nothing if there is no problem.

        Raises:
            InputError: Otherwise; lists all problems.
        """
        if self:
            lines = self.lines()
            raise InputError(f"{self.total:,} problems\n" + "\n".join(f"  {x}" for x in lines))
