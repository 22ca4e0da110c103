"""Registries import what is asked for and nothing else, and a user's own module adds to them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from baselines.concepts.labelled_scenes import LabelledScenes
from baselines.concepts.names import KINDS, open_concepts
from benchmark.metrics.registry import METRICS, check_names
from leaderboard.definition import ADDED_BOARDS, BOARDS, read_board, register_board
from milannotations.catalog.models import MODELS, load_model
from milannotations.cli import app
from milannotations.describer import DESCRIBERS, available
from milannotations.errors import InputError
from milannotations.plugins import PLUGINS_VARIABLE
from milannotations.registry import Registry

REGISTRIES: tuple[Registry, ...] = (DESCRIBERS, METRICS, MODELS, KINDS, ADDED_BOARDS)
PLUGIN = '''
from pathlib import Path

import torch

import baselines.concepts.names
import milannotations.catalog.models
from baselines.concepts.labelled_scenes import LabelledScenes
from leaderboard.definition import register_board
from benchmark.metrics.base import PairMetric
from benchmark.metrics.registry import register as register_metric
from benchmark.result import MetricInfo
from milannotations.describer import Description, register


@register("elsewhere")
class Elsewhere:
    """A describer of a user's own."""

    sees_references = False

    def fit(self, neurons):
        pass

    def describe(self, neurons):
        return [Description(text="a dog") for _ in neurons]


@register_metric
class Shortness(PairMetric):
    """A metric of a user's own."""

    name = "shortness"
    info = MetricInfo(title="Shortness")
    signature = "shortness|version:1"

    def scores(self, sentences, predictions, targets, references):
        return [1 / (1 + len(sentences[position])) for position in predictions]


@milannotations.catalog.models.register("a-conv")
def make():
    return torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1))


@baselines.concepts.names.register("scenes")
def open_scenes(seed, count="1"):
    return LabelledScenes(int(seed), int(count))


register_board("board-of-a-user", Path(__file__).parent / "board")
'''


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a module in the working folder; nothing of it stays."""
    name = "module_of_a_user"
    (tmp_path / f"{name}.py").write_text(PLUGIN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.setenv(PLUGINS_VARIABLE, "")
    for registry in REGISTRIES:
        monkeypatch.setattr(registry, "_added", dict(registry._added))
    yield name
    sys.modules.pop(name, None)


def test_a_describer_and_a_metric_of_a_plugin(plugin: str, tmp_path: Path) -> None:
    out = tmp_path / "mine.csv"
    done = CliRunner().invoke(
        app, ["--plugin", plugin, "describe", "--method", "elsewhere", "--out", str(out)]
    )
    assert done.exit_code == 0, (done.output, done.exception)
    assert out.read_text().splitlines()[1].split(",")[4] == "a dog"
    (tmp_path / "references.csv").write_text("layer,unit,summary\nl,0,a dog\nl,1,dogs\n")
    (tmp_path / "short.csv").write_text("layer,unit,description\nl,0,cat\nl,1,cow\n")
    done = CliRunner().invoke(
        app,
        ["--plugin", plugin, "score", "--references", "references.csv", "--descriptions",
         "short.csv", "--metric", "shortness", "--protocol", "original", "--out", "out"],
    )  # fmt: skip
    assert done.exit_code == 0, (done.output, done.exception)
    result = json.loads((tmp_path / "out" / "short.json").read_text())
    assert result["splits"]["references"]["scores"]["shortness"]["value"] == 0.25


def test_a_plugin_of_the_environment(plugin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="no metric is named 'shortness'"):
        check_names(["shortness"])
    monkeypatch.setenv(PLUGINS_VARIABLE, plugin)
    assert check_names(["bleu"]) == ["bleu"]
    assert plugin not in sys.modules  # what is built in needs no plugin
    assert check_names(["shortness"]) == ["shortness"]
    assert "elsewhere" in available()


def test_models_labelled_images_and_boards_of_a_plugin(
    plugin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PLUGINS_VARIABLE, plugin)
    loaded = load_model("a-conv")
    assert (loaded.name, loaded.spec) == ("a-conv", "a-conv")
    assert [name for name, _ in loaded.module.named_children()] == ["0"]
    with pytest.raises(InputError, match="no model is named 'b-conv'; did you mean 'a-conv'"):
        load_model("b-conv")
    source = open_concepts("scenes:3?count=7")
    assert isinstance(source, LabelledScenes)
    assert (source.seed, len(source)) == (3, 7)
    with pytest.raises(InputError, match="scenes has no option 'cuont'; did you mean 'count'"):
        open_concepts("scenes:3?cuont=7")
    shutil.copytree(BOARDS / "demo", tmp_path / "board", ignore=shutil.ignore_patterns("r*", "s*"))
    assert read_board("board-of-a-user").folder == tmp_path / "board"
    with pytest.raises(InputError, match="a board cannot be named 'demo'; the name is taken"):
        register_board("demo", tmp_path)
    with pytest.raises(InputError, match="a model cannot be named 'hf:x'"):
        MODELS.register("hf:x")(lambda: None)


def test_a_plugin_that_cannot_be_imported(plugin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(f"{plugin}.py").write_text("1 / 0\n")
    monkeypatch.setenv(PLUGINS_VARIABLE, plugin)
    with pytest.raises(InputError, match=f"plugin {plugin} cannot be imported: ZeroDivisionError"):
        available()


def test_a_name_is_given_once() -> None:
    registry: Registry[type] = Registry("number", {"fraction": "fractions:Fraction"})
    with pytest.raises(InputError, match="a number cannot be named 'fraction'; the name is taken"):
        registry.register("fraction")(int)
    registry.register("whole")(int)
    registry.register("whole")(int)
    with pytest.raises(InputError, match="a number is already named 'whole'"):
        registry.register("whole")(float)
    with pytest.raises(InputError, match="no number is named 'hole'; did you mean 'whole'"):
        registry.get("hole")


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: registry.kind)
def test_every_built_in_name_is_where_the_table_says(registry: Registry) -> None:
    for name in registry.built_in:
        assert registry.get(name) is not None


def imported(code: str) -> set[str]:
    """Return the modules that a fresh Python has imported after running some code."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    return set(done.stdout.split())


def test_a_control_is_made_without_the_other_describers() -> None:
    modules = imported("from milannotations.describer import create; create('constant')")
    assert "baselines.controls" in modules
    assert not modules & {"torch", "torchvision", "transformers", "sklearn", "benchmark"}
    assert {name for name in modules if name.startswith("baselines.")} == {"baselines.controls"}


def test_labelled_images_are_opened_without_the_other_kinds() -> None:
    modules = imported(
        "from baselines.concepts.names import open_concepts; open_concepts('worlds:0:1')"
    )
    assert "baselines.concepts.labelled_scenes" in modules
    assert not modules & {
        "baselines.concepts.ade20k", "baselines.concepts.broden",
        "baselines.concepts.segmented",
    }  # fmt: skip


def test_names_are_listed_without_importing_anything() -> None:
    modules = imported("from milannotations.describer import available; available()")
    assert not modules & {"torch", "datasets", "pandas", "numpy"}


def test_a_metric_is_made_without_the_other_metrics() -> None:
    modules = imported(
        "from benchmark.metrics.registry import MetricSettings, make_metrics\n"
        "make_metrics(['cider'], MetricSettings())"
    )
    others = {place.partition(":")[0] for place in METRICS.built_in.values()}
    assert modules & others == {"benchmark.metrics.cider"}
    assert not modules & {"torch", "transformers", "evaluate"}
