"""Results whose tables are damaged, and results that disagree with their tables."""

from __future__ import annotations

import json
from pathlib import Path

from tests.bad_inputs.cases import recipe
from tests.benchmark.damage import DAMAGED
from tests.benchmark.test_pairs import as_version_2, make, put, table_of

# Fields of a result's JSON and what is written there by hand.
CHANGED = {
    "value": ("splits.test.scores.content.value", 0.999),
    "low": ("splits.test.scores.content.low", 0.999),
    "corpus-value": ("splits.test.scores.bleu.value", 99.0),
    "n": ("splits.test.scores.content.n", 7),
    "neurons": ("splits.test.neurons", 9),
    "title": ("method.title", "Yours"),
    "training-data": ("method.training_data", []),
    "direction": ("metrics.content.higher_is_better", False),
    "chance": ("metrics.content.chance", 0.9),
    "hash": ("table", "0" * 64),
    "version": ("schema_version", 2),
    "later-version": ("schema_version", 4),
    "infinite": ("splits.test.scores.content.value", float("inf")),
    "kind": ("method.kind", "human"),
}


def slug(name: str) -> str:
    """Return the name of a case."""
    return "table-" + name.replace(" ", "-")


def _register(name: str, version: int) -> None:
    @recipe("result", slug(name) + ("-of-version-2" if version == 2 else ""))
    def damaged(path: Path) -> None:
        result = make(path)
        if version == 2:
            as_version_2(result)
        table_path = table_of(result)
        table_path.write_bytes(DAMAGED[name][0](table_path.read_bytes()))


def _register_changed(name: str) -> None:
    @recipe("result", f"changed-{name}")
    def changed(path: Path) -> None:
        result = make(path)
        plain = json.loads(result.read_text())
        field, value = CHANGED[name]
        put(plain, field, value)
        result.write_text(json.dumps(plain))


for _name in DAMAGED:
    for _version in (2, 3):
        _register(_name, _version)
for _name in CHANGED:
    _register_changed(_name)


@recipe("result", "whole")
def whole(path: Path) -> None:
    """Write a result with which nothing is wrong."""
    make(path)


@recipe("result", "other-table")
def other_table(path: Path) -> None:
    """Write a result beside the table of another run."""
    result = make(path, seed=1)
    other = make(path.with_name("other"))
    table_of(result).write_bytes(table_of(other).read_bytes())


@recipe("result", "no-table")
def no_table(path: Path) -> None:
    """Write a result without its table."""
    table_of(make(path)).unlink()


@recipe("result", "method-twice")
def method_twice(path: Path) -> None:
    """Write the result of one method under two names."""
    result = make(path)
    for file in (result, table_of(result)):
        (path / file.name.replace("mine", "copy")).write_bytes(file.read_bytes())
