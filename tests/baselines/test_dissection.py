"""Both dissection baselines as describers and as a command, on a network and on scenes."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from typer.testing import CliRunner

import milannotations
from baselines.commands import app as describe_app
from baselines.compexp.describer import CompExp
from baselines.compexp.formula_report import Explanations
from baselines.compexp.proofs import prove
from baselines.concepts.dissection_report import load_report
from baselines.concepts.dissector import Dissector
from baselines.dissect_commands import app
from baselines.netdissect.describer import NetDissect
from baselines.netdissect.detector_report import Dissection
from milannotations.catalog.models import LoadedModel
from milannotations.describer import Description, accepts, create
from milannotations.errors import InputError
from milannotations.inputs.preprocessing import Preprocessing
from milannotations.worlds import World
from milannotations.worlds.broden import write_broden
from tests.baselines.concepts.made_up import record

SCENES = 24


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILANNOTATIONS_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def broden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("broden") / "b"
    write_broden(folder, 0, SCENES)
    return folder


def neurons_of(model: str, dataset: str, layer: str, units: list[int]) -> Dataset:
    """Bare records: a describer of labels looks at nothing but the keys."""
    return Dataset.from_dict(
        {
            "model": [model] * len(units),
            "dataset": [dataset] * len(units),
            "layer": [layer] * len(units),
            "unit": units,
        }
    )


def recorded(folder: Path) -> Path:
    """Units that are the scenes' circles, red things, and nothing."""
    world = World(0, SCENES)
    from milannotations.worlds import Attribute

    concepts = [Attribute("shape", "circle"), Attribute("colour", "red")]
    masks = [[c.mask(world.scene(i))[1::2, 1::2] for c in concepts] for i in range(SCENES)]
    maps = np.array(masks, dtype=np.float32)
    maps = np.concatenate([maps, np.zeros_like(maps[:, :1])], axis=1)
    return record(folder, {"conv": maps}, 224)


@pytest.mark.parametrize(
    ("method", "options", "texts"),
    [
        ("netdissect", {}, ["circle", "red", "nothing"]),
        ("netdissect", {"text": "label"}, ["circle", "red-c", "nothing"]),
        ("netdissect", {"variant": "original"}, ["circle", "red", "nothing"]),
        ("compexp", {"length": 1}, ["circle", "red", "nothing"]),
        ("compexp", {"length": 1, "text": "english"}, ["circle", "red things", "nothing"]),
        ("compexp", {"length": 1, "text": "formula"}, ["circle", "red-c", "nothing"]),
        ("compexp", {"length": 2, "search": "optimal"}, ["circle", "red", "nothing"]),
    ],
)
def test_units_that_are_labels(
    tmp_path: Path, broden: Path, method: str, options: dict[str, Any], texts: list[str]
) -> None:
    describer = create(
        method, concepts=f"broden:{broden}", activations=str(recorded(tmp_path / "maps")),
        threshold=0.5, work=str(tmp_path / "work"), **options,
    )  # fmt: skip
    descriptions = describer.describe(neurons_of("mine", "data", "conv", [0, 1, 2]))
    assert [one.text for one in descriptions] == texts
    assert [one.score for one in descriptions] == pytest.approx([1, 1, 0], abs=1e-6)


def test_neurons_in_any_order_and_number(tmp_path: Path, broden: Path) -> None:
    describer = NetDissect(
        concepts=f"broden:{broden}", activations=str(recorded(tmp_path / "maps")), threshold=0.5
    )
    descriptions = describer.describe(neurons_of("mine", "data", "conv", [1, 0, 1]))
    assert [one.text for one in descriptions] == ["red", "circle", "red"]
    assert descriptions[0].alternatives


def test_a_hierarchy_gives_broader_words(tmp_path: Path, broden: Path) -> None:
    kinds = tmp_path / "kinds.csv"
    kinds.write_text("concept,parent\ncircle,round thing\nring,round thing\n")
    world = World(0, SCENES)
    from milannotations.worlds import Attribute, Or

    both = Or(Attribute("shape", "circle"), Attribute("shape", "ring"))
    masks = np.array([[both.mask(world.scene(i))[1::2, 1::2]] for i in range(SCENES)])
    folder = record(tmp_path / "maps", {"conv": masks.astype(np.float32)}, 224)
    describer = CompExp(
        concepts=f"broden:{broden}", activations=str(folder), threshold=0.5, length=1,
        text="english", hierarchy=str(kinds), work=str(tmp_path / "work"),
    )  # fmt: skip
    descriptions = describer.describe(neurons_of("mine", "data", "conv", [0]))
    assert descriptions[0].text == "any round thing"


def test_formulas_found_before_are_only_read(
    tmp_path: Path, broden: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {
        "activations": str(recorded(tmp_path / "maps")), "threshold": 0.5,
        "work": str(tmp_path / "work"),
    }  # fmt: skip
    neurons = neurons_of("mine", "data", "conv", [0, 1])
    first = CompExp(concepts=f"broden:{broden}", **options).describe(neurons)
    monkeypatch.setattr("baselines.compexp.describer.search", lambda *_, **__: pytest.fail("ran"))
    assert CompExp(concepts=f"broden:{broden}", **options).describe(neurons) == first
    with pytest.raises(pytest.fail.Exception):
        CompExp(concepts=f"broden:{broden}", length=2, **options).describe(neurons)


def test_proofs_that_were_made_before_an_interruption_are_kept(
    tmp_path: Path, broden: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {
        "activations": str(recorded(tmp_path / "maps")), "threshold": 0.5, "length": 2,
        "work": str(tmp_path / "work"), "search": "optimal",
    }  # fmt: skip
    neurons = neurons_of("mine", "data", "conv", [0, 1])
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    monkeypatch.setattr("baselines.compexp.describer.AT_ONCE", 1)
    real, calls = prove, []

    def interrupted(*arguments: Any, **rest: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments, **rest)

    monkeypatch.setattr("baselines.compexp.describer.prove", interrupted)
    with pytest.raises(KeyboardInterrupt):
        CompExp(concepts=f"broden:{broden}", **options).describe(neurons)
    descriptions = CompExp(concepts=f"broden:{broden}", **options).describe(neurons)
    assert len(calls) == 3
    assert [one.text for one in descriptions] == ["circle", "red"]


def test_the_embedded_neurons_are_described() -> None:
    """Units of a real network, on scenes: what the records say of it is enough to load it."""
    neurons = milannotations.load("demo", "network")
    assert isinstance(neurons, Dataset)
    some = neurons.select([i for i, layer in enumerate(neurons["layer"]) if layer == "_blocks.3"])
    for method in ("netdissect", "compexp"):
        descriptions = create(method, concepts="worlds:4:20").describe(some.select(range(6)))
        assert len(descriptions) == 6
        assert all(isinstance(one, Description) and one.text for one in descriptions)
        assert max(one.score or 0 for one in descriptions) > 0


def test_synthetic_neurons_need_scenes(broden: Path) -> None:
    neurons = neurons_of("synthetic", "worlds", "coarse", [0])
    with pytest.raises(InputError, match="live in synthetic scenes"):
        NetDissect(concepts=f"broden:{broden}").describe(neurons)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("netdissect", {}, "name labelled images"),
        ("netdissect", {"concepts": "worlds:0:5", "variant": "light"}, "did you mean 'lite'"),
        ("netdissect", {"concepts": "worlds:0:5", "text": "x"}, "one of milan"),
        ("netdissect", {"concepts": "worlds:0:5", "top": 0}, "top is 0"),
        ("netdissect", {"concepts": "worlds:0:5", "beam": 3}, "beam"),
        ("compexp", {"concepts": "worlds:0:5", "search": "best"}, "one of published"),
        ("compexp", {"concepts": "worlds:0:5", "length": 0}, "length is 0"),
        ("compexp", {"concepts": "worlds:0:5", "penalty": 2.0}, "penalty is 2.0"),
        ("compexp", {"concepts": "worlds:0:5", "seconds": 3}, "for search=optimal only"),
        ("compexp", {"concepts": "worlds:0:5", "search": "optimal", "penalty": 0.9}, "no penalty"),
        ("compexp", {"concepts": "worlds:0:5", "model": "a", "activations": "b"}, "not both"),
    ],
)
def test_options_that_make_no_sense(method: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        create(method, **options)


def test_layers_and_units_that_there_are_not(tmp_path: Path, broden: Path) -> None:
    folder = str(recorded(tmp_path / "maps"))
    describer = NetDissect(concepts=f"broden:{broden}", activations=folder, threshold=0.5)
    with pytest.raises(InputError, match="did you mean 'conv'"):
        describer.describe(neurons_of("mine", "data", "conv5", [0]))
    with pytest.raises(InputError, match="has 3 units, so there is no unit 7"):
        describer.describe(neurons_of("mine", "data", "conv", [0, 7]))


def test_which_describers_take_a_device() -> None:
    assert accepts("netdissect", "device")
    assert accepts("retrieval", "device")
    assert not accepts("constant", "device")
    with pytest.raises(InputError, match="did you mean 'compexp'"):
        accepts("compexpp", "device")


def run(*arguments: object) -> str:
    outcome = CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)
    assert outcome.exit_code == 0, outcome.output
    return outcome.output


def test_the_command_on_a_network(tmp_path: Path, broden: Path) -> None:
    said = run(
        "--concepts", f"broden:{broden}", "--model", "efficientnet_lite0", "--layers",
        "_blocks.3,_blocks.10", "--out", tmp_path / "out", "--work", tmp_path / "work",
        "--device", "cpu",
    )  # fmt: skip
    assert "_blocks.3:" in said
    assert "Report:" in said
    report = load_report(Dissection, tmp_path / "out" / "report.json")
    assert [(layer.layer, len(layer.units)) for layer in report.layers] == [
        ("_blocks.3", 40), ("_blocks.10", 112),
    ]  # fmt: skip
    assert report.settings["variant"] == "lite"
    assert report.maps["weights"]
    assert report.images == SCENES
    with (tmp_path / "out" / "_blocks.3.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 40
    best = report.layers[0].units[7].top[0]
    assert rows[7]["label"] == best.name
    assert float(rows[7]["score"]) == best.iou
    assert float(rows[7][f"{best.category}-intersect"]) == best.intersection
    with (tmp_path / "out" / "detectors.csv").open() as file:
        counted = {(r["layer"], r["category"]): r for r in csv.DictReader(file)}
    layer = report.layers[1]
    for category, number in layer.unique_detectors.items():
        assert int(counted["_blocks.10", category]["unique_detectors"]) == number
    names = {u.top[0].name for u in layer.units if u.top and u.top[0].iou >= 0.04}
    assert sum(layer.unique_detectors.values()) == len(names)
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") == 152  # a strip of exemplars for every unit
    for name in ("index.html", "detectors.svg", "detectors.png", "_blocks.3-labels.svg"):
        assert (tmp_path / "out" / name).stat().st_size > 1000


def test_the_command_with_formulas(tmp_path: Path, broden: Path) -> None:
    said = run(
        "--method", "compexp", "--concepts", f"broden:{broden}", "--activations",
        recorded(tmp_path / "maps"), "--out", tmp_path / "out", "--option", "threshold=0.5",
        "--option", "search=optimal", "--option", "length=2",
    )  # fmt: skip
    assert "proved" in said
    report = load_report(Explanations, tmp_path / "out" / "report.json")
    units = report.layers[0].units
    assert [one.formula for one in units] == ["circle", "red-c", "NONE"]
    assert all(one.proved for one in units)
    with (tmp_path / "out" / "tally_conv.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["unit"], row["label"], row["length"]) for row in rows] == [
        ("0", "circle", "1"), ("1", "red-c", "1"), ("2", "NONE", "0"),
    ]  # fmt: skip
    assert "red things" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a network with --model"),
        (["--model", "efficientnet_lite0", "--method", "constant"], "constant"),
        (["--model", "efficientnet_lite0", "--layers", "_blocks.99"], "no layer matches"),
        (["--model", "efficientnet_lite0", "--option", "variant"], "NAME=VALUE"),
        (["--model", "resnet18", "--option", "varient=full"], "did you mean 'variant'"),
        (["--model", "resnet18", "--option", "frame=crop"], "write it as --frame"),
        (["--activations", "maps", "--input-size", "64"], "go with --model"),
        (["--model", f"{__name__}:grey"], "its first convolution takes 1 channel, and --input-s"),
    ],
)
def test_commands_that_make_no_sense(
    tmp_path: Path, broden: Path, arguments: list[str], message: str
) -> None:
    out = tmp_path / "out"
    with pytest.raises(InputError, match=message):
        run("--concepts", f"broden:{broden}", "--out", out, *arguments)
    assert not out.exists()


def grey() -> LoadedModel:
    """Return a network of grey images, without a word on what it takes."""
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 5, stride=4), torch.nn.ReLU())
    return LoadedModel(network, "grey", "none", Preprocessing(), ("1",))


def test_other_inputs_and_patterns_of_the_command(tmp_path: Path, broden: Path) -> None:
    run(
        "--concepts", f"broden:{broden}", "--model", f"{__name__}:grey", "--input-size", "80",
        "--channels", "1", "--layers", "0", "--layers", "[1]", "--out", tmp_path / "out",
        "--work", tmp_path / "work", "--device", "cpu",
    )  # fmt: skip
    report = load_report(Dissection, tmp_path / "out" / "report.json")
    assert [(layer.layer, len(layer.units)) for layer in report.layers] == [("0", 4), ("1", 4)]


def test_a_folder_is_not_overwritten_by_accident(tmp_path: Path, broden: Path) -> None:
    (tmp_path / "x.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty"):
        run("--concepts", f"broden:{broden}", "--model", "resnet18", "--out", tmp_path)


def test_describe_writes_what_score_reads(tmp_path: Path, broden: Path) -> None:
    out = tmp_path / "mine.csv"
    arguments = [
        "--method", "netdissect", "--neurons", "demo", "--split", "network", "--out", str(out),
        "--option", f"concepts=broden:{broden}", "--option", "quantile=.01", "--device", "cpu",
    ]  # fmt: skip
    outcome = CliRunner().invoke(describe_app, arguments, catch_exceptions=False)
    assert outcome.exit_code == 0, outcome.output
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 240
    assert {"model", "dataset", "layer", "unit", "description"} <= set(rows[0])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda plain: plain.update(layout=2), "layout"),
        (lambda plain: plain["layers"][0].pop("layer"), r"layers\.0\.layer"),
        (lambda plain: plain.update(extra=1), "extra"),
    ],
)
def test_bad_reports_are_refused(tmp_path: Path, broden: Path, spoil: Any, message: str) -> None:
    run(
        "--concepts", f"broden:{broden}", "--activations", recorded(tmp_path / "maps"),
        "--out", tmp_path / "out", "--option", "threshold=0.5",
    )  # fmt: skip
    path = tmp_path / "out" / "report.json"
    plain = json.loads(path.read_text())
    spoil(plain)
    path.write_text(json.dumps(plain))
    with pytest.raises(InputError, match=message):
        load_report(Dissection, path)
    with pytest.raises(InputError, match="does not exist"):
        load_report(Dissection, tmp_path / "none.json")


def test_a_dissector_says_how_it_was_made(tmp_path: Path, broden: Path) -> None:
    describer = NetDissect(
        concepts=f"broden:{broden}", activations=str(recorded(tmp_path / "maps"))
    )
    assert isinstance(describer, Dissector)
    describer.tallies("", ["conv"])
    facts = describer.facts("netdissect", {"variant": "lite"})
    assert (facts.model, facts.images, facts.shape) == ("maps", SCENES, (112, 112))
    assert facts.labels == describer.concepts.content
