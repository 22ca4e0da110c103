"""CONTRIBUTING.md, done as it says: one new module is found by itself."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from typer.testing import CliRunner

import baselines
import benchmark.metrics
from benchmark.metrics.registry import METRICS, MetricSettings, check_names, make_metrics, names
from milannotations import registry
from milannotations.cli import app
from milannotations.describer import DESCRIBERS
from milannotations.errors import InputError

PAGE = Path(__file__).parents[1] / "CONTRIBUTING.md"
DESCRIBER, METRIC = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose modules stand below both packages; nothing of it stays."""
    for package in (baselines, benchmark.metrics):
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    for objects in (DESCRIBERS, METRICS):
        monkeypatch.setattr(objects, "_added", dict(objects._added))
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if str(tmp_path) in str(getattr(module, "__file__", "")):
            del sys.modules[name]


def test_the_describer(added: Path, tmp_path: Path) -> None:
    (added / "contributed.py").write_text(DESCRIBER)
    out = tmp_path / "mine.csv"
    done = CliRunner().invoke(app, ["describe", "--method", "my-method", "--out", str(out)])
    assert done.exit_code == 0, (done.output, done.exception)
    assert out.read_text().splitlines()[1].split(",")[4] == "a dog"


def test_the_metric(added: Path, tmp_path: Path) -> None:
    (added / "contributed.py").write_text(METRIC)
    references, mine = tmp_path / "references.csv", tmp_path / "mine.csv"
    references.write_text(
        "layer,unit,summary\nl,0,a dog\nl,0,dogs\nl,1,big red cars\nl,1,red cars\nl,2,x\n"
    )
    mine.write_text("layer,unit,description\nl,0,one two\nl,1,one two three four\nl,2,one\n")
    done = CliRunner().invoke(
        app,
        ["score", "--references", str(references), "--descriptions", str(mine), "--metric",
         "same-length", "--protocol", "original", "--out", str(tmp_path / "out")],
    )  # fmt: skip
    assert done.exit_code == 0, (done.output, done.exception)
    result = json.loads((tmp_path / "out" / "mine.json").read_text())
    score = result["splits"]["references"]["scores"]["same-length"]
    assert score["value"] == pytest.approx(2 / 3)
    assert score["signature"] == "same-length|refs:best|version:1|protocol:original"
    assert check_names(["all"])[-1] == "same-length"
    assert "same-length-corrected" in names()


@pytest.mark.parametrize(
    ("source", "match"),
    [
        (METRIC.replace('name = "same-length"', "pass"), "needs a name"),
        (METRIC.replace('"same-length"', '"bleu"'), "cannot be named 'bleu'"),
        (METRIC.replace('"same-length"', '"x-corrected"'), "cannot be named"),
        (
            f"import no_such_module\n{METRIC}",
            "contributed cannot be imported: ModuleNotFoundError: No",
        ),
    ],
)
def test_modules_that_cannot_be_used_are_named(added: Path, source: str, match: str) -> None:
    (added / "contributed.py").write_text(source)
    with pytest.raises(InputError, match=match):
        check_names(["nothing-known"])
    # Those that are known need no other module.
    assert check_names(["bleu"]) == ["bleu"]


def test_arguments_of_new_metrics(added: Path) -> None:
    start = (
        '    def __init__(self, encoder="", device=""):\n        self.made = encoder, device\n\n'
    )
    (added / "contributed.py").write_text(
        METRIC.replace("    def scores", f"{start}    def scores")
    )
    settings = MetricSettings(sentence_encoder="mine", device="cpu")
    (metric,) = make_metrics(["same-length"], settings)
    assert metric.made == ("mine", "cpu")
    (added / "contributed.py").unlink()


def test_a_metric_that_asks_for_more_is_named(added: Path) -> None:
    start = "    def __init__(self, weight):\n        pass\n\n"
    (added / "contributed.py").write_text(
        METRIC.replace("    def scores", f"{start}    def scores")
    )
    with pytest.raises(InputError, match=r"cannot be made: .*weight"):
        make_metrics(["same-length"], MetricSettings())


def test_metrics_of_other_packages(added: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (added / "elsewhere.py").write_text(METRIC.replace("same-length", "far-length"))
    monkeypatch.syspath_prepend(str(added))
    (added / "benchmark").mkdir()  # the module stands beside, not below, benchmark.metrics
    monkeypatch.setattr(benchmark.metrics, "__path__", benchmark.metrics.__path__[:-1])
    point = EntryPoint("far-length", "elsewhere:SameLength", "milannotations.metrics")
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    (metric,) = make_metrics(["far-length"], MetricSettings())
    assert metric.name == "far-length"


def test_names_of_built_in_metrics_are_their_own() -> None:
    for name, place in METRICS.built_in.items():
        module = str(place).partition(":")[0].rpartition(".")[2]
        if module in ("bleu", "cider", "content", "rouge", "rouge_pairs"):
            (metric,) = make_metrics([name], MetricSettings())
            assert metric.name == name
            assert metric.info.title
