"""A result and its table: bound when written, compared when read."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmark.consistency import disagreements
from benchmark.intervals import interval
from benchmark.metrics.base import MeanMetric, PairMetric
from benchmark.metrics.bounds import BOUNDS, is_mean_by_name
from benchmark.result import Method, MetricInfo, Result, Score, SplitResult, leaves, read_result
from benchmark.result_files import compare_result_files, read_result_files, save_result_files
from milannotations.errors import InputError
from tests.benchmark.damage import DAMAGED, HARMLESS

NEURONS = 8


def values_of(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(NEURONS)


def make(folder: Path, seed: int = 0, resamples: int = 1000, corpus: float = 30.0) -> Path:
    """Save a result with a mean metric, whose interval is true, and a corpus metric."""
    values = values_of(seed)
    expected = interval(
        lambda sums: sums[..., 0] / sums[..., 1], np.stack([values, np.ones(NEURONS)], 1),
        resamples or 1000, 0,
    )  # fmt: skip
    scores = {
        "content": Score(value=expected.value, low=expected.low, high=expected.high, n=NEURONS,
                         signature="content|v1"),
        "bleu": Score(value=corpus, low=corpus - 2, high=corpus + 2, n=NEURONS, signature="bleu"),
    }  # fmt: skip
    result = Result(
        method=Method(
            name="mine", title="Mine", authors="Ada", url="https://example.com", paper="A paper",
            training_data=["demo/train"], images="exemplars", labels="none", vocabulary="words",
            parameters=5, licence="MIT", seed=3,
        ),
        metrics={
            "content": MetricInfo(title="Content", mean=True, chance=0.1, description="overlap"),
            "bleu": MetricInfo(title="BLEU", mean=False),
        },
        splits={
            "test": SplitResult(fingerprint="f00d", config="demo/test", neurons=NEURONS,
                                scored=NEURONS, references="all", scores=scores)
        },
        board="demo@1", submission="a" * 64, refused={"other": "trained on it"},
        resamples=resamples, versions={"torch": "2.0"}, hardware="a machine", wall_time_s=1.5,
    )  # fmt: skip
    table = pd.DataFrame(
        {
            "split": "test", "model": "net", "dataset": "shapes",
            "layer": ["conv1"] * 4 + ["conv2"] * 4, "unit": range(NEURONS),
            "description": [f"text {i}" for i in range(NEURONS)], "content": values, "bleu": 20.0,
        }
    )  # fmt: skip
    return save_result_files(result, folder, table)


def table_of(path: Path) -> Path:
    return path.with_suffix(".per_neuron.parquet")


def as_version_2(path: Path) -> None:
    """Make a pair what an older version wrote: no hash, no record, no word of means."""
    plain = json.loads(path.read_text())
    plain["schema_version"] = 2
    del plain["table"]
    for metric in plain["metrics"].values():
        del metric["mean"]
    path.write_text(json.dumps(plain))
    pd.read_parquet(table_of(path)).to_parquet(table_of(path), index=False)


def test_a_pair_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = make(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir() if not file.name.startswith(".")) == [
        "mine.json", "mine.per_neuron.parquet",
    ]  # fmt: skip
    pair = read_result_files(path)
    assert pair.table_path == table_of(path)
    assert pair.result.table == hashlib.sha256(table_of(path).read_bytes()).hexdigest()
    assert pair.per_neuron["content"].tolist() == values_of(0).tolist()
    assert pair.per_neuron["unit"].dtype == np.int64


@pytest.mark.parametrize("version", [2, 3])
def test_the_other_table_is_noticed(tmp_path: Path, version: int) -> None:
    """A JSON beside the table of another run, as a kill between two writes would leave it."""
    path, other = make(tmp_path / "one"), make(tmp_path / "two", seed=1)
    if version == 2:
        as_version_2(path)
        as_version_2(other)
    table_of(path).write_bytes(table_of(other).read_bytes())
    told = f"splits.test.scores.content.value is {values_of(0).mean():.6g}, but the mean of the "
    with pytest.raises(InputError) as caught:
        read_result_files(path)
    assert told + f"table is {values_of(1).mean():.6g}" in str(caught.value)
    assert ("SHA-256" in str(caught.value)) == (version == 3)


def test_every_field_of_a_result_is_noticed(tmp_path: Path) -> None:
    path = make(tmp_path)
    plain = json.loads(path.read_text())
    fields = dict(leaves(plain))
    assert len(fields) > 45
    for field, value in fields.items():
        changed = json.loads(path.read_text())
        put(changed, field, other_than(value, field))
        (tmp_path / "changed.json").write_text(json.dumps(changed))
        (tmp_path / "changed.per_neuron.parquet").write_bytes(table_of(path).read_bytes())
        with pytest.raises(InputError) as caught:
            read_result_files(tmp_path / "changed.json")
        last = field.rpartition(".")[2]
        named = "SHA-256" if field == "table" else last
        assert named in str(caught.value) or field.rpartition(".")[0] in str(caught.value), field


def put(plain: Any, field: str, value: object) -> None:
    *parents, last = field.split(".")
    for parent in parents:
        plain = plain[int(parent)] if isinstance(plain, list) else plain[parent]
    plain[int(last) if isinstance(plain, list) else last] = value


def other_than(value: object, field: str, by: float = 1e-5) -> object:
    """Return another value that the schema takes too, so that only a comparison can notice."""
    fixed = {"schema_version": 2, "kind": "human", "protocol": "original", "table": "0" * 64,
             "submission": "0" * 64, "name": "yours", "url": "https://example.org"}  # fmt: skip
    last = field.rpartition(".")[2]
    if last in fixed:
        return fixed[last]
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + (1 if isinstance(value, int) else by)
    if value is None:
        return 1
    return f"{value}!" if isinstance(value, str) else {"new": "x"}


def test_every_cell_of_a_table_is_noticed(tmp_path: Path) -> None:
    path = make(tmp_path)
    whole = table_of(path).read_bytes()
    for column in pd.read_parquet(table_of(path)).columns:
        table = pd.read_parquet(table_of(path))
        table.loc[3, column] = 0.75 if table[column].dtype.kind == "f" else (
            77 if column == "unit" else "else"
        )  # fmt: skip
        table.to_parquet(table_of(path), index=False)
        with pytest.raises(InputError, match="SHA-256"):
            read_result_files(path)
        table_of(path).write_bytes(whole)
    read_result_files(path)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("splits.test.scores.content.value", 0.99, "the mean of the table is"),
        ("splits.test.scores.content.low", 0.0, "the interval by the table ends at"),
        ("splits.test.scores.content.high", 0.99, "the interval by the table ends at"),
        ("splits.test.scores.content.n", 7, "8 neurons were scored"),
        ("splits.test.scores.bleu.value", 130.0, "bleu lies between 0 and 100"),
        ("splits.test.scores.bleu.low", 60.0, "high is 32"),
        ("splits.test.neurons", 9, "the table has 8 rows of it"),
        ("splits.test.scored", 9, "there are 8 neurons"),
        ("splits.test.scored", 3, "3 neurons were scored"),
    ],
)
def test_what_the_table_determines_is_computed_of_older_results_too(
    tmp_path: Path, field: str, value: float, told: str
) -> None:
    path = make(tmp_path)
    as_version_2(path)
    read_result_files(path)
    plain = json.loads(path.read_text())
    put(plain, field, value)
    if field.endswith("scored") and value == 3:
        plain["splits"]["test"]["neurons"] = 8
        plain["splits"]["test"]["scores"]["content"]["n"] = 5
    path.write_text(json.dumps(plain))
    with pytest.raises(InputError) as caught:
        read_result_files(path)
    assert told in str(caught.value)


def test_an_interval_within_layers_is_one_too(tmp_path: Path) -> None:
    path = make(tmp_path)
    as_version_2(path)
    layers = ["net/shapes/conv1"] * 4 + ["net/shapes/conv2"] * 4
    expected = interval(
        lambda sums: sums[..., 0] / sums[..., 1], np.stack([values_of(0), np.ones(NEURONS)], 1),
        1000, 0, layers,
    )  # fmt: skip
    plain = json.loads(path.read_text())
    plain["splits"]["test"]["scores"]["content"].update(low=expected.low, high=expected.high)
    path.write_text(json.dumps(plain))
    read_result_files(path)


def test_neurons_without_a_value_are_left_out_of_the_mean(tmp_path: Path) -> None:
    path = make(tmp_path)
    pair = read_result_files(path)
    table = pair.per_neuron.assign(content=np.where(np.arange(8) < 3, np.nan, values_of(0)))
    score = pair.result.splits["test"].scores["content"]
    score.value = float(values_of(0)[3:].mean())
    statistics = np.stack([np.where(np.arange(8) < 3, 0, values_of(0)), np.arange(8) >= 3], 1)
    expected = interval(lambda sums: sums[..., 0] / sums[..., 1], statistics, 1000, 0)
    score.low, score.high = expected.low, expected.high
    assert disagreements(pair.result, table) == []


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_table_is_a_sentence(tmp_path: Path, name: str, version: int) -> None:
    path = make(tmp_path)
    if version == 2:
        as_version_2(path)
    change, told = DAMAGED[name]
    table_of(path).write_bytes(change(table_of(path).read_bytes()))
    with pytest.raises(InputError) as caught:
        read_result_files(path)
    assert told in str(caught.value)
    assert str(path) in str(caught.value) or str(table_of(path)) in str(caught.value)
    assert len(str(caught.value)) < 1500


@pytest.mark.parametrize("name", HARMLESS)
def test_a_table_written_otherwise_is_read(tmp_path: Path, name: str) -> None:
    path = make(tmp_path)
    as_version_2(path)
    before = read_result_files(path).per_neuron
    table_of(path).write_bytes(HARMLESS[name](table_of(path).read_bytes()))
    if name == "another order of rows":  # of other draws: only the interval differs
        _, said = compare_result_files(path)
        assert all(".low is" in line or ".high is" in line for line in said)
        return
    pd.testing.assert_frame_equal(read_result_files(path).per_neuron, before)


def test_a_missing_table_and_a_result_without_its_hash(tmp_path: Path) -> None:
    path = make(tmp_path)
    table_of(path).rename(tmp_path / "away")
    with pytest.raises(InputError, match=r"mine\.per_neuron\.parquet is missing"):
        read_result_files(path)
    (tmp_path / "away").rename(table_of(path))
    plain = json.loads(path.read_text())
    del plain["table"]
    path.write_text(json.dumps(plain))
    with pytest.raises(InputError, match="this has none; score the method again"):
        read_result(path)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "cannot be read as JSON: it is empty"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"seed": ' + b"9" * 5000 + b"}", "a whole number of 5,000 digits"),
        (b"\xff\xfe", "it looks like UTF-16"),
        (b"null", "holds null, not an object"),
        (b'{"seed": NaN}', "NaN is no JSON"),
        (b" " * 5_000_001, "at most 5,000,000 are read"),
    ],
    ids=["empty", "deep", "digits", "encoding", "null", "nan", "large"],
)
def test_a_damaged_json_is_a_sentence(tmp_path: Path, data: bytes, told: str) -> None:
    path = make(tmp_path)
    path.write_bytes(data)
    with pytest.raises(InputError, match=told):
        read_result_files(path)


def _kill_at(step: int, write: Callable[[], object]) -> bool:
    """Run something in a process that ends without a word at its n-th change of the file system.

    Returns:
        Whether it was killed; False if it came to its end before.
    """
    child = os.fork()
    if child == 0:
        left = [step]

        def counting(original: Callable[..., Any]) -> Callable[..., Any]:
            def run(*args: Any, **options: Any) -> Any:
                left[0] -= 1
                if left[0] < 0:
                    os._exit(9)
                return original(*args, **options)

            return run

        for name in ("replace", "unlink", "write_bytes", "write_text", "chmod", "mkdir"):
            setattr(Path, name, counting(getattr(Path, name)))
        try:
            write()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 9


def test_no_kill_parts_a_result_from_its_table(tmp_path: Path) -> None:
    states = set()
    for step in range(100):
        folder = tmp_path / f"at-{step}"
        path = make(folder, seed=0, corpus=30.0)
        killed = _kill_at(step, lambda folder=folder: make(folder, seed=1, corpus=40.0))
        pair = read_result_files(path)
        new = pair.result.splits["test"].scores["bleu"].value == 40.0
        assert pair.per_neuron["content"].tolist() == values_of(int(new)).tolist()
        states.add(new)
        make(folder, seed=2)  # the next run takes what was left with it
        assert read_result_files(path).per_neuron["content"].tolist() == values_of(2).tolist()
        tables = [file.name for file in folder.iterdir() if file.name.endswith(".parquet")]
        assert tables == ["mine.per_neuron.parquet"]
        if not killed:
            assert new
            break
    else:
        raise AssertionError("never came to its end")
    assert states == {False, True}
    assert step > 5


def test_a_first_result_that_is_killed_leaves_none_or_a_whole_one(tmp_path: Path) -> None:
    for step in range(100):
        folder = tmp_path / f"at-{step}"
        killed = _kill_at(step, lambda folder=folder: make(folder))
        if (folder / "mine.json").exists():
            read_result_files(folder / "mine.json")
        if not killed:
            return
    raise AssertionError("never came to its end")


def test_what_is_known_by_name_is_what_metrics_say() -> None:
    from benchmark.functional.metrics import FUNCTIONAL
    from benchmark.metrics.registry import METRICS

    for name in METRICS.built_in:
        metric = METRICS.get(name)
        mean = issubclass(metric, MeanMetric) and not (
            issubclass(metric, PairMetric) and metric.over == "pairs"
        )
        assert is_mean_by_name(name) == mean, name
        assert BOUNDS[name] == metric.bounds, name
    for metric in FUNCTIONAL:
        assert is_mean_by_name(metric.name) is True
        assert metric.name in BOUNDS


def test_what_killed_processes_left_of_its_tables_is_removed(tmp_path: Path) -> None:
    """Tables wait under names with their hash, which another run need not give again."""
    name = make(tmp_path).stem
    there = {path.name for path in tmp_path.iterdir()}
    staged = f"{name}.0123456789abcdef.per_neuron.parquet"
    for left in (staged, f".{staged}.lock", f".{staged}.partial", ".another.lock"):
        (tmp_path / left).touch()
    make(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == there | {".another.lock"}
