"""A result and its per-neuron table as files: written together, and checked when they are read.

The new table is first written beside the old one, under a name with its hash. Then the JSON, which
holds the hash, is replaced. Then the table gets its plain name. A process that is killed before the
second step leaves the old result, and later the new one: a reader looks for the table whose hash
the JSON holds, under either name. Files left by a killed process are removed when the same result
is written again.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmark.consistency import disagreements
from benchmark.per_neuron import MAX_BYTES, SUFFIX, read_table, write_table
from benchmark.result import VERSION, Result, leaves, read_result
from milannotations.errors import InputError
from milannotations.storage import atomic_path, locked
from milannotations.untrusted_text import clean, clip

_SHOWN_DIFFERENCES = 5  # in one message


@dataclass(frozen=True, eq=False)
class StoredResult:
    """A result with its table.

    Attributes:
        path: The JSON file.
        result: Its content.
        table_path: The file of the table.
        per_neuron: The table; see ``benchmark.per_neuron``.
    """

    path: Path
    result: Result
    table_path: Path
    per_neuron: pd.DataFrame


def table_name(name: str, digest: str = "") -> str:
    """Return the file name of a method's table; with a hash, the name until its JSON is written.

    >>> table_name("milan"), table_name("milan", "0123456789abcdef0123")
    ('milan.per_neuron.parquet', 'milan.0123456789abcdef.per_neuron.parquet')
    """
    return f"{name}.{digest[:16]}{SUFFIX}" if digest else f"{name}{SUFFIX}"


def save_result_files(result: Result, folder: Path, per_neuron: pd.DataFrame) -> Path:
    """Write a result and its table, and return the path of the JSON.

    ``result.table`` is set to the table's hash. While another process writes the same result, this
    one waits.
    """
    result.schema_version = VERSION
    data = write_table(per_neuron, result.record())
    result.table = hashlib.sha256(data).hexdigest()
    name = result.method.name
    target = folder / f"{name}.json"
    staged, plain = folder / table_name(name, result.table), folder / table_name(name)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(target, wait=True):
        with atomic_path(staged) as path:
            path.write_bytes(data)
        with atomic_path(target) as path:
            path.write_text(result.model_dump_json(indent=2) + os.linesep, encoding="utf-8")
        staged.replace(plain)
        for left in _staged(folder, name):
            left.unlink(missing_ok=True)
    return target


def read_result_files(path: Path) -> StoredResult:
    """Read a result and its table, and compare the two.

    Raises:
        InputError: If either is missing or invalid, or they disagree; names the differences.
    """
    pair, remarks = compare_result_files(path)
    if remarks:
        lines = [clip(line, 300) for line in remarks[:_SHOWN_DIFFERENCES]]
        more = (
            f"; and {len(remarks) - _SHOWN_DIFFERENCES} more"
            if len(remarks) > _SHOWN_DIFFERENCES
            else ""
        )
        raise InputError(
            f"{path} disagrees with its table {pair.table_path.name}: {'; '.join(lines)}"
            f"{more}. Score the method again, or take both files out"
        )
    return pair


def compare_result_files(path: Path) -> tuple[StoredResult, list[str]]:
    """Read a result and its table, and list their differences, one line each.

    Raises:
        InputError: If either is missing or invalid.
    """
    result = read_result(path)
    table_path, data = _find(path, result)
    if data is None:
        reread = read_result(path)  # another process may have replaced it
        if reread.table != result.table:
            result = reread
            table_path, data = _find(path, result)
    remarks = []
    if data is None:
        data = _bytes(table_path)
        digest = hashlib.sha256(data).hexdigest()
        remarks.append(
            f"the table's SHA-256 is {digest[:16]}…, but the result was written with a table of "
            f"{result.table[:16]}…"
        )
    table, record = read_table(data, str(table_path))
    changed: dict[str, str] = {}
    if record is not None and not remarks:
        changed = _changes(dict(leaves(result.record())), dict(leaves(record)))
    computed = dict(disagreements(result, table))
    # Names may come from anyone.
    remarks += (clean(line) for line in {**changed, **computed}.values())
    return StoredResult(path, result, table_path, table), remarks


def _changes(own: dict[str, object], recorded: dict[str, object]) -> dict[str, str]:
    """Return a message for every field that differs from the record in the table."""
    return {
        field: f"{field} is {_short(own, field)}, but {_short(recorded, field)} where the table "
        "was written"
        for field in dict.fromkeys((*own, *recorded))
        if _short(own, field) != _short(recorded, field) or own.get(field) != recorded.get(field)
    }


def _short(fields: dict[str, object], field: str) -> str:
    text = repr(fields[field]) if field in fields else "absent"
    return text if len(text) <= 100 else f"{text[:99]}…"


def _find(path: Path, result: Result) -> tuple[Path, bytes | None]:
    """Return the table's path, and its bytes if they have the hash that the result holds."""
    plain = path.with_name(table_name(path.stem))
    if not result.table:
        return plain, _bytes(plain)
    for candidate in (plain, path.with_name(table_name(path.stem, result.table)), plain):
        try:
            data = _bytes(candidate)
        except InputError:
            continue
        if hashlib.sha256(data).hexdigest() == result.table:
            return candidate, data
    return plain, None


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        raise InputError(f"{path} is missing; score the method again to write it")
    if path.stat().st_size > MAX_BYTES:
        raise InputError(
            f"{path} has {path.stat().st_size:,} bytes; at most {MAX_BYTES:,} are read"
        )
    return path.read_bytes()


def _staged(folder: Path, name: str) -> list[Path]:
    """Return the files that killed processes left, and those of the table being written.

    The caller holds the lock of the result, so no other process is writing them.
    """
    table = re.escape(name) + r"\.[0-9a-f]{16}" + re.escape(SUFFIX)
    pattern = re.compile(rf"{table}|\.{table}\.(lock|partial)")
    return [path for path in folder.iterdir() if pattern.fullmatch(path.name)]
