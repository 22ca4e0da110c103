"""The commands and snippets of README, CONTRIBUTING, the dataset card and docs."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [
    "README.md", "CONTRIBUTING.md", "milannotations/README.md",
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")),
]  # fmt: skip
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`(milannotations [a-z][^`]*)`")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        page: Path of the page below the root of the project.
        language: What the fence names: ``console``, ``python``, or nothing.
        text: What is in it.
    """

    page: str
    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """The command lines of a block of the console: joined, without comments."""
        joined = self.text.replace("\\\n", " ")
        # As in a shell, and other than in shlex, # begins a comment only after a space.
        plain = (re.sub(r"(^|\s)#.*", "", line) for line in joined.splitlines())
        lines = (shlex.split(line) for line in plain)
        return [shlex.join(words) for words in lines if words]


def blocks_of(page: str) -> list[Block]:
    """Return the console's and Python's blocks of a page, in order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = [Block(page, match[1], match[2]) for match in _BLOCK.finditer(text)]
    chosen = ("console", "python", "bash", "sh", "pycon")
    return [
        block
        for block in blocks
        if block.language in chosen or block.text.startswith("milannotations ")
    ]


def inline_commands(page: str) -> list[str]:
    """Return the commands that a page's sentences name, as in ``milannotations layers MODEL``."""
    text = (ROOT / page).read_text(encoding="utf-8")
    outside = _BLOCK.sub("", text)
    return [match[1].replace("\n", " ") for match in _INLINE.finditer(outside)]
