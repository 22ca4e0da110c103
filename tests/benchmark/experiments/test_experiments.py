"""Experiments end to end at the smallest scale, resumed, and their tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from benchmark.experiments import cells as cells_module
from benchmark.experiments.annotated_networks import (
    ReleasedNetworks,
    SyntheticNetworks,
    find_networks,
)
from benchmark.experiments.cells import Cell, MethodConfig
from benchmark.experiments.paper_tables import parse_method
from benchmark.experiments.published import FOLLOWED, PUBLISHED, RECIPES, published_value, remarks
from benchmark.experiments.result_tables import pivot, summarize, write_tables
from benchmark.experiments.running import run_experiment
from benchmark.metrics.rouge import RougeL
from benchmark.result import Score
from benchmark.splits import FAMILIES, published, splits_of
from benchmark.text_encoders import PACKAGED
from milannotations.cli import app
from milannotations.errors import InputError
from milannotations.record import keys_of
from milannotations.worlds.reading import read


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MILANNOTATIONS_HOME", str(tmp_path_factory.mktemp("home")))
        yield SyntheticNetworks(units=10, scenes=40)


def test_synthetic_networks_stand_to_one_another_as_the_annotated_ones(
    worlds: SyntheticNetworks,
) -> None:
    for family in FAMILIES:
        made = splits_of(family, worlds.networks)
        assert len(made) == len(published(family))
    neurons = worlds.load("deepnet-places")
    (network,) = (n for n in worlds.networks if n.name == "deepnet-places")
    expected = {(layer, unit) for layer, units in network.layers.items() for unit in units}
    assert {(k.layer, k.unit) for k in keys_of(neurons)} == expected
    assert len(neurons) == 10
    # The words belong to the neurons: a place-like network has no plain attributes.
    for texts in neurons["annotations"]:
        assert len({read(text).key for text in texts}) == 1
    by_key = {(n.layer, n.unit): n.concept.key for n in worlds._neurons["deepnet-places"]}
    for key, texts in zip(keys_of(neurons), neurons["annotations"], strict=True):
        assert read(texts[0]).key == by_key[key.layer, key.unit]


def test_names_of_data() -> None:
    assert isinstance(find_networks("release"), ReleasedNetworks)
    assert len(find_networks("worlds:12:60").networks) == 7
    for wrong in ("world", "worlds:3", "worlds:a:b", "worlds:5:100"):
        with pytest.raises(InputError):
            find_networks(wrong)


def test_the_original_protocol_has_cells_of_its_own(
    worlds: SyntheticNetworks, tmp_path: Path
) -> None:
    methods = [MethodConfig("frequent", "constant-frequent")]
    for protocol in ("held-out", "original"):
        cells = run_experiment(
            worlds, ["across-architecture"], methods, [RougeL()], tmp_path, device="cpu",
            protocol=protocol,
        )  # fmt: skip
        # Controls say a reference that is held out.
        assert len(cells) == (3 if protocol == "held-out" else 1)
        assert {c.protocol for c in cells} == {protocol}
        signature = cells[0].scores["rouge-l"].signature
        assert signature.endswith("|protocol:original") == (protocol == "original")
    assert len(list(tmp_path.iterdir())) == 4


def test_cells_are_run_once(worlds: SyntheticNetworks, tmp_path: Path, monkeypatch) -> None:
    methods = [MethodConfig("frequent", "constant-frequent"), MethodConfig("any", "random-train")]

    def run() -> list[Cell]:
        return run_experiment(
            worlds, ["across-architecture"], methods, [RougeL()], tmp_path, trials=2,
            device="cpu",
        )  # fmt: skip

    first = run()
    assert len(first) == 1 * 2 * (2 + 2)
    files = {path: path.read_text() for path in tmp_path.iterdir()}
    assert len(files) == 8
    monkeypatch.setattr(cells_module, "describe", lambda *_: pytest.fail("described again"))
    assert run() == first
    assert {(c.data, c.protocol, c.describer) for c in first if c.method == "any"} == {
        ("worlds", "held-out", "random-train")
    }
    damaged = next(iter(files))
    damaged.write_text("{")
    monkeypatch.undo()
    again = run()
    drop = {"seconds"}
    assert [c.model_dump(exclude=drop) for c in again] == [
        c.model_dump(exclude=drop) for c in first
    ]
    random = [c.scores["rouge-l"].value for c in first if c.method == "any"]
    assert random[0] != random[1]
    oracle = [c.scores["rouge-l"].value for c in first if c.method == "oracle"]
    assert oracle[0] == oracle[1]


AS_PUBLISHED = (
    "bertscore-f1|encoder:roberta-large|layer:17|idf:references|rescaled:yes|bert-score:0.3.13|"
    "protocol:original"
)
FACTS = {"data": "release", "protocol": "original", "describer": "milan"}


def cell(
    method: str, value: float, trial: int, test: str = "alexnet-imagenet",
    signature: str = AS_PUBLISHED, **facts: Any,
) -> Cell:  # fmt: skip
    score = Score(value=value, low=value - 0.1, high=value + 0.1, n=9, signature=signature)
    recipe = dict(RECIPES[method][1]) if method in RECIPES else {}
    return Cell(
        **{
            "family": "leave-one-out", "split": test, "train": f"not-{test}", "test": test,
            "method": method, "trial": trial, "neurons": 1152, "scores": {"bertscore": score},
            "seconds": 1, "options": recipe, **FACTS, **facts,
        }
    )  # fmt: skip


def test_tables_by_hand(tmp_path: Path) -> None:
    summary = summarize([cell("milan", v, t) for t, v in enumerate((0.4, 0.5, 0.3))] + [
        cell("a_b & c", 0.2, 0)
    ])  # fmt: skip
    milan, other = summary.to_dict("records")
    assert milan["mean"] == pytest.approx(0.4)
    assert milan["deviation"] == pytest.approx(0.1)
    # Half of the bootstrap's interval is 0.1; Student's quantile of two degrees of freedom 4.3027.
    assert milan["low"] == pytest.approx(0.4 - (0.1**2 + (4.302653 * 0.1) ** 2 / 3) ** 0.5)
    assert milan["published"] == 0.38
    assert (other["low"], other["high"]) == (pytest.approx(0.1), pytest.approx(0.3))
    assert pd.isna(other["published"]) and pd.isna(other["deviation"])
    table = pivot(summary, "bertscore")
    assert table["milan"][0] == "0.400 ± 0.100 (published 0.38)"
    write_tables(summary, tmp_path, "A note.")
    assert (tmp_path / "bertscore.md").read_text().endswith("A note.\n")
    latex = (tmp_path / "bertscore.tex").read_text()
    assert r"a\_b \& c" in latex and r"0.400 $\pm$ 0.100 (published 0.38)" in latex
    assert len(pd.read_csv(tmp_path / "results.csv")) == 2


def test_intervals_over_trials_end_where_the_metric_ends() -> None:
    cells = [cell("milan", value, trial) for trial, value in enumerate((0.99, 0.7))]
    (free,) = summarize(cells).to_dict("records")
    assert free["high"] > 1 and free["low"] < 0  # 12.7 standard errors of two trials
    (cut,) = summarize(cells, {"bertscore": (0.0, 1.0)}).to_dict("records")
    assert (cut["low"], cut["high"]) == (0, 1)
    assert cut["mean"] == free["mean"]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"data": "worlds"}, "not those of the paper"),
        ({"data": ""}, "not those of the paper"),
        ({"protocol": "held-out"}, "one annotation was held out here"),
        ({"signature": AS_PUBLISHED.replace("rescaled:yes", "rescaled:no")}, "rescaled:no"),
        ({"signature": AS_PUBLISHED.replace("roberta-large", "roberta-base")}, "roberta-base"),
        ({"signature": AS_PUBLISHED.replace("layer:17", "layer:16")}, "layer:16"),
        ({"signature": AS_PUBLISHED.replace("|protocol:original", "")}, "protocol:nothing"),
        ({"options": {"variant": "beam"}}, "variant=rerank with no other option"),
        ({"options": {"variant": "rerank", "epochs": 3}}, "no other option"),
        ({"describer": "retrieval"}, "of the paper is milan"),
        ({"neurons": 1000}, "1,000 neurons of alexnet-imagenet were scored, and 1,152"),
        ({"method": "netdissect"}, "which segmentations gave netdissect its labels"),
        (
            {"family": "within-network", "train": "alexnet-imagenet", "neurons": 115},
            "held out other neurons",
        ),
    ],
)
def test_published_numbers_stand_beside_the_same_quantity_alone(
    changed: dict[str, Any], reason: str
) -> None:
    assert published_value(cell("milan", 0.4, 0), "bertscore") == (0.38, "")
    changed = dict(changed)
    other = cell(changed.pop("method", "milan"), 0.4, 0, **changed)
    value, why = published_value(other, "bertscore")
    assert value is None and reason in why
    summary = summarize([other])
    assert "published" not in pivot(summary, "bertscore").to_string()
    (line,) = remarks([other, other])
    assert line.startswith("Published numbers are left out:") and reason in line
    assert remarks([cell("milan", 0.4, 0)]) == [FOLLOWED]


def test_greedy_stands_beside_the_published_method_without_mutual_information() -> None:
    assert published_value(cell("milan-no-pmi", 0.4, 0), "bertscore") == (0.34, "")
    assert published_value(cell("milan-beam", 0.4, 0), "bertscore") == (None, "")
    assert published_value(cell("oracle", 0.4, 0, data="worlds"), "bertscore") == (None, "")


def test_numbers_of_two_protocols_share_no_cell() -> None:
    plain = AS_PUBLISHED.replace("|protocol:original", "")
    cells = [cell("milan", 0.4, 0), cell("milan", 0.2, 1, signature=plain, protocol="held-out")]
    summary = summarize(cells)
    assert summary["mean"].tolist() == [0.4, 0.2]
    table = pivot(summary, "bertscore")
    assert table["protocol"].tolist() == ["original", "held-out"]
    assert table["milan"].tolist() == ["0.400 (published 0.38)", "0.200"]


def test_published_numbers_belong_to_splits() -> None:
    known = pd.read_csv(PUBLISHED)
    assert known["source"].str.contains("ICLR 2022").all()
    for family, part in known.groupby("family"):
        sides = set()
        for split in published(family):
            sides.add((split.train, split.test))
        assert set(zip(part["train"], part["test"], strict=True)) <= sides


def test_published_numbers_are_those_of_the_collected_ones(shared_data: Path) -> None:
    theirs = pd.read_csv(shared_data / "published_numbers.csv")
    theirs = theirs[theirs["table"].isin(["baselines", *FAMILIES])]
    ours = pd.read_csv(PUBLISHED)
    assert sorted(map(float, theirs["value"])) == sorted(ours["value"])
    assert len(ours) == 29


def test_methods_by_name() -> None:
    assert parse_method("mine=milan:epochs=3,pmi=0.5") == MethodConfig(
        "mine", "milan", {"epochs": 3, "pmi": 0.5}
    )
    assert parse_method("retrieval") == MethodConfig("retrieval", "retrieval", {})


def test_the_release_without_images_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmark.experiments import annotated_networks as module
    from tests.benchmark.splits.test_splits import neurons

    monkeypatch.setattr(module, "load_split", lambda _: neurons([0, 1]))
    with pytest.raises(InputError, match="attach-images alexnet-imagenet"):
        ReleasedNetworks().load("alexnet-imagenet")


@pytest.mark.slow
@pytest.mark.usefixtures("worlds")
def test_the_commands(tmp_path: Path) -> None:
    """Both commands, with a learner that needs no training."""
    for command, families in (("generalization", ["--family", "across-task"]), ("baselines", [])):
        done = CliRunner().invoke(
            app,
            ["experiment", command, *families, "--data", "worlds:10:40", "--out",
             str(tmp_path / command), "--method", "random-train", "--encoder", PACKAGED,
             "--metric", "identification", "--device", "cpu"],
        )  # fmt: skip
        assert done.exit_code == 0, done.output
        results = pd.read_csv(tmp_path / command / "results.csv")
        assert set(results["method"]) == {"random-train", "oracle", "shuffled-oracle"}
        assert len(results) == 3 * (2 if families else 6)
        for name in ("identification.md", "identification.tex"):
            assert "random-train" in (tmp_path / command / name).read_text()
        with Image.open(tmp_path / command / "identification.png") as figure:
            assert figure.format == "PNG" and figure.width > 1000
        one = next((tmp_path / command / "cells").glob("*random-train*.json"))
        assert json.loads(one.read_text())["scores"]["identification"]["n"] > 0
        assert "test annotations occur in training" in " ".join(done.output.split())
        assert "(published" not in done.output
        assert "these networks are not those of the paper" in " ".join(done.output.split())
    unknown = CliRunner().invoke(app, ["experiment", "generalization", "--family", "sideways"])
    assert isinstance(unknown.exception, InputError)
