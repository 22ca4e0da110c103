"""All that is wrong with a submission, told at once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from milannotations.errors import InputError
from milannotations.untrusted_text import clean, clip

SHOWN = 5  # of one kind; a file with one fault in every line must not fill the screen


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        file: Name of the file in the submission.
        line: Its line, from 1 (of Parquet, the row); None for the file as a whole.
        kind: Problems of one kind are counted together.
        message: What is wrong and what to do.
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
    """Collects problems; texts in them come from strangers, so they are cleaned and cut."""

    found: list[Problem] = field(default_factory=list)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, file: str, line: int | None, kind: str, message: str) -> None:
        """Add one; past the first hundred of a kind it is only counted."""
        self.counts[file, kind] += 1
        if self.counts[file, kind] <= 100:
            self.found.append(Problem(file, line, kind, clip(clean(message), 500)))

    def __bool__(self) -> bool:
        return bool(self.found)

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(self.counts.values())

    def lines(self, shown: int = SHOWN) -> list[str]:
        """Say each, at most ``shown`` of a kind and how many more there are, by file and line."""
        said: Counter[tuple[str, str]] = Counter()
        lines = []
        for one in sorted(self.found, key=lambda p: (p.file, p.line is not None, p.line or 0)):
            key = (one.file, one.kind)
            said[key] += 1
            if said[key] <= shown:
                lines.append(str(one))
            elif said[key] == shown + 1:
                lines.append(f"{one.file}: … and {self.counts[key] - shown:,} more: {one.kind}")
        return lines

    def raise_any(self) -> None:
        """Raise.

        Raises:
            InputError: If anything is wrong; it says all of it.
        """
        if self:
            lines = self.lines()
            raise InputError(f"{self.total:,} problems\n" + "\n".join(f"  {x}" for x in lines))
