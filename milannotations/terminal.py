"""Output for people: on a terminal, into a pipe or a log.

Control characters in other people's texts are shown and never obeyed. Tables fit the width, and no
number is ever cut.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

import rich.console
from rich import box
from rich.cells import cell_len
from rich.console import ConsoleOptions, RenderableType, RenderResult
from rich.markup import escape
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from milannotations.streams import readable

_WORDS = 14  # least width in cells of a column of words that has longer words
_PADDING = 3  # per column, including its line


class Console(rich.console.Console):
    """The console that all code here prints to; it shows control characters in the given text.

    The styles and cursor movements that ``rich`` itself adds are kept.
    """

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Turn a renderable into pieces of styled text."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(readable(segment.text), segment.style)


class FittedTable:
    """A table that fits any width in which it is printed.

    Columns of words wrap; cells of numbers break only between numbers. Columns for which there is
    no room move to a further table below, which repeats the first columns.

    Args:
        title: Text above the table.
        head: Names of the columns.
        rows: The cells.
        caption: Text below the last table.
        words: Which columns hold words and are aligned left; the others hold numbers.
        keys: How many of the first columns identify a row.
    """

    def __init__(
        self,
        title: str,
        head: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        caption: str = "",
        words: Collection[int] = (0,),
        keys: int = 1,
    ) -> None:
        self.title, self.caption = title, caption
        self.head, self.rows = list(head), [list(row) for row in rows]
        self._words, self._keys = frozenset(words), keys

    def __rich_console__(
        self, console: rich.console.Console, options: ConsoleOptions
    ) -> RenderResult:
        """Yield one table, or several to be printed below one another."""
        blocks = list(self._blocks(options.max_width))
        for number, columns in enumerate(blocks):
            yield self._table(
                columns,
                options.max_width,
                title=self.title if number == 0 else "",
                caption=self.caption if number == len(blocks) - 1 else "",
            )

    def _blocks(self, width: int) -> Iterator[list[int]]:
        """Yield the columns of each table."""
        keys = list(range(min(self._keys, len(self.head))))
        room = width - 1 - sum(self._least(column) + _PADDING for column in keys)
        block: list[int] = []
        used = 0
        for column in range(len(keys), len(self.head)):
            needed = self._least(column) + _PADDING
            if block and used + needed > room:
                yield keys + block
                block, used = [], 0
            block.append(column)
            used += needed
        yield keys + block

    def _table(self, columns: Sequence[int], width: int, title: str, caption: str) -> Table:
        table = Table(
            title=escape(title) or None,
            caption=escape(caption) or None,
            title_justify="left",
            caption_justify="left",
            box=box.HEAVY_HEAD,
        )
        widths = self._widths(columns, width)
        for column, size in zip(columns, widths, strict=True):
            table.add_column(
                Text(self._laid_out(self.head[column], column, size)),
                justify="left" if column in self._words else "right",
                width=size,
                overflow="fold",
            )
        for row in self.rows:
            table.add_row(
                *(
                    Text(self._laid_out(row[column], column, size))
                    for column, size in zip(columns, widths, strict=True)
                )
            )
        return table

    def _widths(self, columns: Sequence[int], width: int) -> list[int]:
        """Divide the width: each column's least first, then what numbers need to stay in one line.

        Words get what is left.
        """
        sizes = {column: self._least(column) for column in columns}
        room = width - 1 - sum(size + _PADDING for size in sizes.values())
        for column in sorted(columns, key=lambda column: column in self._words):
            more = max(0, min(self._most(column) - sizes[column], room))
            sizes[column] += more
            room -= more
        return [max(1, sizes[column]) for column in columns]

    def _cells(self, column: int) -> list[str]:
        return [self.head[column], *(row[column] for row in self.rows)]

    def _most(self, column: int) -> int:
        """Return the width at which no cell breaks; the heads of number columns may break."""
        cells = self._cells(column)[0 if column in self._words else 1 :]
        lines = (line for cell in cells for line in cell.splitlines() or [""])
        return max(map(cell_len, lines), default=1)

    def _least(self, column: int) -> int:
        longest = max(
            (cell_len(piece) for cell in self._cells(column) for piece in _pieces(cell)), default=1
        )
        return min(longest, _WORDS) if column in self._words else longest

    def _laid_out(self, cell: str, column: int, width: int) -> str:
        """Break a cell of numbers into lines; words are wrapped by rich."""
        if column in self._words:
            return cell
        lines: list[str] = []
        for piece in _pieces(cell):
            if lines and cell_len(lines[-1]) + 1 + cell_len(piece) <= width:
                lines[-1] += f" {piece}"
            else:
                lines.append(piece)
        return "\n".join(lines)


def _pieces(cell: str) -> list[str]:
    """Split a cell where it may break: an interval stays in one line.

    >>> _pieces("0.704 [0.697, 0.711]")
    ['0.704', '[0.697, 0.711]']
    """
    pieces: list[str] = []
    for piece in cell.split():
        if pieces and pieces[-1].startswith("[") and not pieces[-1].endswith("]"):
            pieces[-1] += f" {piece}"
        else:
            pieces.append(piece)
    return pieces
