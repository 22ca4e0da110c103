"""Reading a folder of results: each method's JSON with its table of values per neuron."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmark.result import Method, read_result
from benchmark.result_files import StoredResult, read_result_files
from milannotations.errors import InputError


@dataclass(frozen=True, eq=False)
class LoadedResult(StoredResult):
    """One method's result with its per-neuron table, and the files both were read from."""

    @property
    def method(self) -> Method:
        """The method that was scored."""
        return self.result.method


class RejectedResult(NamedTuple):
    """A result that cannot be used, and the reason."""

    path: Path
    reason: str


def load_results(folder: Path) -> list[LoadedResult]:
    """Read every ``*.json`` of a folder with its per-neuron table, in the order of the file names.

    Raises:
        InputError: Lists every file that is missing, invalid, inconsistent with its table, or a
            second result of the same method.
    """
    loaded, rejected = read_folder(folder)
    if len(rejected) == 1:
        raise InputError(rejected[0].reason)
    if rejected:
        reasons = "\n".join(f"  {result.reason}" for result in rejected)
        raise InputError(f"{len(rejected)} results of {folder} cannot be used:\n{reasons}")
    return loaded


def read_folder(folder: Path) -> tuple[list[LoadedResult], list[RejectedResult]]:
    """Read every ``*.json`` of a folder; return the results that can be used, and the others.

    Raises:
        InputError: If the folder does not exist or holds no result.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; name the one that holds <method>.json files")
    paths = sorted(path for path in folder.glob("*.json") if path.is_file())
    if not paths:
        raise InputError(f"{folder} holds no result; `milannotations score` writes <method>.json")
    loaded: dict[str, LoadedResult] = {}
    rejected = []
    for path in paths:
        try:
            name = read_result(path).method.name
            if name in loaded:
                raise InputError(
                    f"{path} is a second result of method {name!r}, after {loaded[name].path}; "
                    "remove one or rename the method"
                )
            loaded[name] = load_result(path)
        except InputError as error:  # noqa: PERF203
            rejected.append(RejectedResult(path, str(error)))
    return list(loaded.values()), rejected


def splits_in(folder: Path, usable_only: bool = False) -> set[str]:
    """Return the splits of all results in a folder that can be read.

    Args:
        folder: The folder.
        usable_only: Skip results that disagree with their tables; comparing them takes longer.
    """
    if usable_only:
        return {split for loaded in read_folder(folder)[0] for split in loaded.result.splits}
    splits: set[str] = set()
    for path in folder.glob("*.json"):
        with suppress(InputError, OSError):
            splits.update(read_result(path).splits)
    return splits


def load_result(path: Path) -> LoadedResult:
    """Read one result with its per-neuron table, and compare the two.

    Raises:
        InputError: If a file is missing or invalid, or the two disagree; says which and where.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist; name the JSON of a result")
    pair = read_result_files(path)
    return LoadedResult(pair.path, pair.result, pair.table_path, pair.per_neuron)
