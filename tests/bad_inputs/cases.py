"""Bad inputs as data: each file of a folder, and what every reader of its kind says to it.

A folder below this one is a kind of input. Its ``expected.yaml`` has an entry for each file::

    short-row.csv:
      wrong: the second row lacks its last cell
      every: {refused: line 3 has 2 cells}
      readers:
        leaderboard validate: {refused: 2 cells}

The name is that of a file or folder beside it, or of a recipe in ``recipes*.py`` that makes one.
``every`` holds for all readers that take the kind, and ``readers`` for those it names; ``~`` is for
one that cannot meet the file. An outcome is one of

* ``refused``: an ``InputError`` that has this piece in its sentence;
* ``told``: read, with a notice that has this piece, and ``value`` where it can be written down;
* ``accepted``: read without a word; the value, or null where any is right.

What keeps results to save work throws a damaged file away with a notice: such a reader is
``forgiving``, and ``refused`` means ``told`` for it.

A reader is a function of ``readers*.py``: of the path and of an empty folder to work in. It does
what a command does with such a file, and returns what it has read as plain values.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import signal
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from milannotations.errors import InputError
from milannotations.notices import Notice

FOLDER = Path(__file__).parent
EXPECTED = "expected.yaml"
MAX_BYTES = 64 * 1024  # of a file that is kept; larger ones are made by recipes
SECONDS = 120  # after which a reader hangs
OUTCOMES = ("refused", "told", "accepted", "silent", "traceback")
_ANYTHING = object()

Read = Callable[[Path, Path], Any]


@dataclass(frozen=True)
class Reader:
    """A reader of files: the kinds that it takes, and what it does with a path."""

    name: str
    kinds: tuple[str, ...]
    read: Read
    forgiving: bool = False


@dataclass(frozen=True)
class Expected:
    """What a reader should say: one of refused, told and accepted; and a piece of the sentence."""

    outcome: str
    piece: str = ""
    value: Any = field(default=_ANYTHING)


@dataclass(frozen=True)
class Case:
    """A bad input: where it lies or how it is made, what is wrong, and what should be said."""

    kind: str
    name: str
    wrong: str
    every: Expected | None
    readers: Mapping[str, Expected | None]

    def expected(self, one: Reader) -> Expected | None:
        """Return what a reader should say; None if it is not one of the case's."""
        if one.name in self.readers:
            return self.readers[one.name]
        if self.every is not None and self.every.outcome == "refused" and one.forgiving:
            return replace(self.every, outcome="told")
        return self.every

    def file(self, work: Path) -> Path:
        """Return the file, which a recipe makes in ``work`` if it is not kept."""
        stored = FOLDER / self.kind / self.name
        if stored.exists():
            return stored
        work.mkdir(parents=True, exist_ok=True)
        created = work / self.name
        recipes()[self.kind, self.name](created)
        return created


@dataclass(frozen=True)
class Seen:
    """What a reader did: the outcome, what it said or raised, and what it read."""

    outcome: str
    sentence: str = ""
    value: Any = None


_READERS: dict[str, Reader] = {}
_RECIPES: dict[tuple[str, str], Callable[[Path], None]] = {}


def reader(name: str, *kinds: str, forgiving: bool = False) -> Callable[[Read], Read]:
    """Register a reader of some kinds of files."""

    def register(read: Read) -> Read:
        assert name not in _READERS, f"two readers {name!r}"
        _READERS[name] = Reader(name, kinds, read, forgiving)
        return read

    return register


def recipe(kind: str, *names: str) -> Callable[[Callable[[Path], None]], Callable[[Path], None]]:
    """Register what makes a file, or a folder, of a kind."""

    def register(make: Callable[[Path], None]) -> Callable[[Path], None]:
        for name in names:
            assert (kind, name) not in _RECIPES, f"two recipes of {kind}/{name}"
            _RECIPES[kind, name] = make
        return make

    return register


def readers() -> dict[str, Reader]:
    """Return all readers by name."""
    _import("readers")
    return _READERS


def recipes() -> dict[tuple[str, str], Callable[[Path], None]]:
    """Return all recipes by kind and name."""
    _import("recipes")
    return _RECIPES


@cache
def _import(prefix: str) -> None:
    for module in sorted(FOLDER.glob(f"{prefix}*.py")):
        importlib.import_module(f"tests.bad_inputs.{module.stem}")


@cache
def cases() -> list[Case]:
    """Return every case of every kind."""
    return [
        _case(place.parent.name, str(name), plain)
        for place in sorted(FOLDER.glob(f"*/{EXPECTED}"))
        for name, plain in yaml.safe_load(place.read_text(encoding="utf-8")).items()
    ]


def _case(kind: str, name: str, plain: Mapping[str, Any]) -> Case:
    unknown = set(plain) - {"wrong", "every", "readers"}
    assert not unknown, f"{kind}/{name}: {unknown}"
    every = _expected(plain["every"]) if "every" in plain else None
    named = {who: one and _expected(one) for who, one in plain.get("readers", {}).items()}
    return Case(kind, name, plain["wrong"], every, named)


def _expected(plain: Mapping[str, Any]) -> Expected:
    (outcome,) = set(plain) - {"value"}
    assert outcome in OUTCOMES[:3], outcome
    if outcome == "accepted":
        value = plain[outcome]
        return Expected(outcome, "", _ANYTHING if value is None else value)
    return Expected(outcome, str(plain[outcome]), plain.get("value", _ANYTHING))


def pairs() -> list[tuple[Case, Reader]]:
    """Return every case with every reader that takes its kind and of which it says something."""
    return [
        (case, one)
        for case in cases()
        for one in readers().values()
        if case.kind in one.kinds and case.expected(one) is not None
    ]


def seen(case: Case, one: Reader, work: Path) -> Seen:
    """Run a reader on a case.

    Args:
        case: The case.
        one: The reader.
        work: An empty folder.
    """
    path = case.file(work / "made")
    folder = work / "work"
    folder.mkdir(parents=True)
    with warnings.catch_warnings(record=True) as caught, _time_limit():
        warnings.simplefilter("always")
        try:
            value = one.read(path, folder)
        except InputError as error:
            return Seen("refused", str(error))
        except MemoryError as error:
            return Seen("traceback", f"MemoryError: {error}")
        except Exception as error:
            return Seen("traceback", f"{type(error).__name__}: {error}")
    notices = [str(w.message) for w in caught if issubclass(w.category, Notice)]
    # Through JSON, so that tuples are lists and keys are texts, as in expected.yaml.
    plain = json.loads(json.dumps(value, default=str))
    return Seen("told" if notices else "accepted", "\n".join(notices), plain)


def judged(case: Case, one: Reader, what: Seen) -> str:
    """Return the outcome that counts: silent where a wrong value, or nothing, was said."""
    expected = case.expected(one)
    assert expected is not None
    if what.outcome in ("refused", "traceback"):
        return what.outcome
    right = expected.value is _ANYTHING or expected.value == what.value
    if expected.outcome == "refused" or not right:
        return "silent"
    if expected.outcome == "told" and what.outcome != "told":
        return "silent"
    return what.outcome


@contextlib.contextmanager
def _time_limit() -> Iterator[None]:
    def stop(_number: int, _frame: object) -> None:
        raise TimeoutError(f"no answer within {SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def table(outcomes: Mapping[str, Mapping[str, int]]) -> str:
    """Write reader × outcome as Markdown, with a last line of sums."""
    lines = [f"| reader | inputs | {' | '.join(OUTCOMES)} |", "|---|" + "---:|" * 6]
    total = dict.fromkeys(OUTCOMES, 0)
    for name, counts in outcomes.items():
        row = [counts.get(outcome, 0) for outcome in OUTCOMES]
        lines.append(f"| {name} | {sum(row)} | {' | '.join(map(str, row))} |")
        for outcome, count in zip(OUTCOMES, row, strict=True):
            total[outcome] += count
    sums = " | ".join(map(str, total.values()))
    lines.append(f"| all | {sum(total.values())} | {sums} |")
    return "\n".join(lines)


def inputs_table() -> str:
    """Write what is done with every input, a table for each kind, as Markdown."""
    parts = []
    for kind in dict.fromkeys(case.kind for case in cases()):
        takers = [one.name for one in readers().values() if kind in one.kinds]
        forgiving = [one.name for one in readers().values() if one.forgiving and one.name in takers]
        parts.append(f"### {kind}\n\nRead by {', '.join(f'`{name}`' for name in takers)}.")
        if forgiving:
            names = ", ".join(f"`{name}`" for name in forgiving)
            parts.append(f"What is refused is told by {names}, and what it held is made anew.")
        lines = ["| input | what is wrong | what is done |", "|---|---|---|"]
        for case in (case for case in cases() if case.kind == kind):
            done = [_done(case.every)] if case.every else []
            done += [
                f"`{name}`: {_done(expected)}" if expected else f"`{name}` cannot meet it"
                for name, expected in case.readers.items()
            ]
            lines.append(f"| `{case.name}` | {_cell(case.wrong)} | {'; '.join(done)} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _done(expected: Expected) -> str:
    if expected.outcome == "accepted":
        return "accepted"
    return f"{expected.outcome}: “{_cell(expected.piece)}”"


def _cell(text: str) -> str:
    """Return a text for a cell of a table in Markdown, where nothing of it is markup."""
    shown = text if len(text) <= 100 else f"{text[:100]}…"
    return "".join(f"\\{c}" if c in "\\|`*_<>[]&#~$" else c for c in shown)
