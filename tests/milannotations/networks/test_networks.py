"""A data set's network is the one it was built from, or there is one clear sentence."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import concatenate_datasets, load_from_disk
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from typer.testing import CliRunner

import milannotations
from baselines.commands import app as describe_app
from baselines.dissect_commands import app as dissect_app
from milannotations.attach.attach import attach_images
from milannotations.attach.sources import FolderSource
from milannotations.catalog import models
from milannotations.catalog.models import ENTRIES, load_model
from milannotations.catalog.small import PREPROCESSING, SmallNet
from milannotations.errors import InputError
from milannotations.exemplars.build import build
from milannotations.exemplars.commands import app as build_app
from milannotations.exemplars.merge_commands import app as merge_app
from milannotations.exemplars.options import BuildOptions
from milannotations.exemplars.request import BuildRequest
from milannotations.hook_points.layout import Layout
from milannotations.inputs.sources import ImageFolder
from milannotations.networks.consent import give_consent, has_consent
from milannotations.networks.lookup import (
    NetworkChoice,
    check_same_network,
    network_at_hand,
    network_of,
)
from milannotations.networks.record import attach_records, read_records, record_of, records_in
from milannotations.weights_hash import hash_of_weights

FACTORY = "tests.milannotations.networks.factories:make"
SMALL = ["--k", "3", "--size", "32", "--batch-size", "8", "--device", "cpu"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MILANNOTATIONS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    (tmp_path / "images" / "all").mkdir(parents=True)
    for index in range(8):
        pixels = rng.integers(0, 255, (12, 12, 3)).astype(np.uint8)
        Image.fromarray(pixels).resize((96, 96)).save(tmp_path / "images" / "all" / f"{index}.png")
    return tmp_path / "images"


def state_of(seed: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return SmallNet().state_dict()


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """A published network in the catalog, ``smallnet-imagenet``, that needs no download."""
    state = state_of(1)
    entry = replace(ENTRIES["smallnet-rendered"], dataset="imagenet", fetch=lambda: state)
    monkeypatch.setitem(models.ENTRIES, "smallnet-imagenet", entry)
    monkeypatch.delitem(models.ENTRIES, "smallnet-rendered")
    return state


@pytest.fixture
def finetuned(tmp_path: Path) -> Path:
    save_file(state_of(2), tmp_path / "finetuned.safetensors")
    return tmp_path / "finetuned.safetensors"


def run(app: Any, *arguments: object) -> str:
    outcome = CliRunner().invoke(app, [str(a) for a in arguments])
    if outcome.exception is not None:
        raise outcome.exception
    return " ".join(outcome.output.split())


def built(out: Path, images: Path, *arguments: object) -> Path:
    run(build_app, "--images", images, "--out", out, *SMALL, *arguments)
    return out


def described(neurons: Path | str, out: Path, *options: str) -> list[str]:
    arguments = [part for option in options for part in ("--option", option)]
    run(
        describe_app, "--method", "netdissect", "--neurons", neurons, "--out", out,
        "--option", "concepts=worlds:0:24", "--device", "cpu", *arguments,
    )  # fmt: skip
    with out.open() as file:
        return [f"{row['description']} {row['score']}" for row in csv.DictReader(file)]


def test_finetuned_weights_are_described_not_published_ones(
    tmp_path: Path, images: Path, published: dict[str, torch.Tensor], finetuned: Path
) -> None:
    options = ["--model", "smallnet", "--layers", "conv3"]
    # Named like the published network's, by which it was taken for it.
    mine = built(tmp_path / "mine", images, *options, "--weights", finetuned,
                 "--dataset", "imagenet")  # fmt: skip
    theirs = built(tmp_path / "theirs", images, *options)
    of_mine = described(mine, tmp_path / "mine.csv")
    of_theirs = described(theirs, tmp_path / "theirs.csv")
    # What dissecting the two networks by their names gives.
    for weights, expected in ((finetuned, of_mine), ("published", of_theirs)):
        report = tmp_path / Path(weights).stem
        run(dissect_app, "--model", "smallnet", "--weights", weights, "--layers", "conv3",
            "--concepts", "worlds:0:24", "--out", report, "--device", "cpu")  # fmt: skip
        with (report / "conv3.csv").open() as file:
            scores = [float(row["score"]) for row in csv.DictReader(file)]
        assert [float(text.rpartition(" ")[2]) for text in expected] == scores
    assert sum(one != other for one, other in zip(of_mine, of_theirs, strict=True)) > 40
    report = tmp_path / "of-neurons"
    run(dissect_app, "--neurons", mine, "--concepts", "worlds:0:24", "--out", report,
        "--device", "cpu")  # fmt: skip
    with (report / "conv3.csv").open() as file:
        scores = [float(row["score"]) for row in csv.DictReader(file)]
    assert [float(text.rpartition(" ")[2]) for text in of_mine] == scores


def test_a_file_that_moved_or_changed_is_refused(
    tmp_path: Path, images: Path, published: dict[str, torch.Tensor], finetuned: Path
) -> None:
    folder = built(tmp_path / "out" / "mine", images, "--model", "smallnet", "--layers", "conv1",
                   "--weights", finetuned)  # fmt: skip
    neurons = milannotations.load(folder)
    key = ("smallnet", "finetuned")
    expected = record_of(neurons, *key)
    assert expected is not None
    original = finetuned.read_bytes()

    save_file(state_of(3), finetuned)
    other = hash_of_weights(load_model("smallnet", str(finetuned)).module)
    with pytest.raises(InputError, match="--option weights=FILE") as raised:
        network_of(neurons, *key)
    assert expected.network_sha256 in str(raised.value)
    assert other in str(raised.value)
    assert network_of(neurons, *key, NetworkChoice(check="no")).spec == "smallnet"

    finetuned.unlink()
    with pytest.raises(InputError, match=f"weights {finetuned}, and that file is not there"):
        network_of(neurons, *key)
    with pytest.raises(InputError, match=r"has [0-9a-f]{32}\. Name the right ones"):
        network_of(neurons, *key, NetworkChoice(model="smallnet", weights="published"))
    moved = tmp_path / "moved.safetensors"
    moved.write_bytes(original)
    loaded = network_of(neurons, *key, NetworkChoice(weights=str(moved)))
    assert hash_of_weights(loaded.module) == expected.weights_sha256

    # The data set and its weights may move together.
    (tmp_path / "elsewhere").mkdir()
    moved.rename(tmp_path / "elsewhere" / "finetuned.safetensors")
    shutil.move(tmp_path / "out", tmp_path / "elsewhere" / "out")
    again = milannotations.load(tmp_path / "elsewhere" / "out" / "mine")
    loaded = network_of(again, *key)
    assert hash_of_weights(loaded.module) == expected.weights_sha256


def test_a_factory_with_its_preprocessing_and_layouts(
    tmp_path: Path, images: Path, home: Path
) -> None:
    folder = built(tmp_path / "out", images, "--model", FACTORY, "--layout", "2=spatial",
                   "--layers", "1,2", "--dataset", "mine")  # fmt: skip
    neurons = milannotations.load(folder)
    loaded = network_of(neurons, "toy", "mine")
    assert loaded.spec == FACTORY
    assert loaded.preprocessing.mean == (0.2,) * 3
    assert loaded.layouts == {"1": Layout("spatial"), "2": Layout("spatial")}
    assert described(folder, tmp_path / "out.csv")
    # A record may come from anyone: code that nobody here has named is not run.
    shutil.rmtree(home)
    with pytest.raises(InputError, match=f"pass --option model={FACTORY}"):
        network_of(neurons, "toy", "mine")
    assert network_of(neurons, "toy", "mine", NetworkChoice(model=FACTORY)).spec == FACTORY


def test_consent_is_for_code_alone(home: Path) -> None:
    for spec in ("resnet18", "timm:resnet18", "hf:owner/name", "torchvision:resnet18"):
        assert has_consent(spec)
    for spec in ("hub:owner/repo:entry", "os:abort"):
        assert not has_consent(spec)
        give_consent(spec)
        assert has_consent(spec)
    assert json.loads((home / "code-models.json").read_text()) == [
        "hub:owner/repo:entry", "os:abort",
    ]  # fmt: skip


def test_a_model_of_timm(tmp_path: Path, images: Path) -> None:
    folder = built(tmp_path / "out", images, "--model", "timm:test_resnet", "--weights", "random",
                   "--layers", "layer1")  # fmt: skip
    neurons = milannotations.load(folder)
    loaded = network_of(neurons, "test_resnet", "random")
    expected = record_of(neurons, "test_resnet", "random")
    assert expected is not None
    assert loaded.spec == "timm:test_resnet"
    assert hash_of_weights(loaded.module) == expected.weights_sha256


def test_merged_shards_keep_the_record(tmp_path: Path, images: Path, finetuned: Path) -> None:
    arguments = ["--model", "smallnet", "--layers", "conv1", "--weights", finetuned]
    whole = built(tmp_path / "whole", images, *arguments)
    for shard in ("1/2", "2/2"):
        built(tmp_path / "shards", images, *arguments, "--shard", shard)
    run(merge_app, tmp_path / "shards", "--images", images, "--out", tmp_path / "merged",
        "--size", "32")  # fmt: skip
    (one,), (other,) = read_records(whole), read_records(tmp_path / "merged")
    assert replace(one, folder="") == replace(other, folder="")
    assert other.spec == "smallnet"
    assert other.weights == str(finetuned)
    plain = json.loads((tmp_path / "merged" / "build.json").read_text())
    assert (plain["model"], plain["weights"]) == ("smallnet", str(finetuned))


def test_the_record_outlives_what_is_done_to_a_data_set(
    tmp_path: Path, images: Path, finetuned: Path
) -> None:
    folder = built(tmp_path / "out", images, "--model", "smallnet", "--layers", "conv1,conv2",
                   "--weights", finetuned)  # fmt: skip
    neurons = milannotations.load(folder, layers="conv2")
    expected = records_in(neurons)
    assert len(expected) == 1
    derived = neurons.select([0, 3]).remove_columns("annotations").map(lambda row: row)
    assert records_in(derived) == expected
    assert records_in(concatenate_datasets([derived, derived])) == expected
    neurons.save_to_disk(str(tmp_path / "saved"))
    assert records_in(load_from_disk(str(tmp_path / "saved"))) == expected
    assert records_in(milannotations.load(tmp_path / "saved")) == expected
    shard = next((folder / "data").glob("*.parquet"))
    assert records_in(milannotations.load(shard)) == expected


def test_attaching_images_keeps_the_record(tmp_path: Path, images: Path, finetuned: Path) -> None:
    folder = built(tmp_path / "out", images, "--model", "smallnet", "--layers", "conv1",
                   "--weights", finetuned)  # fmt: skip
    attach_images(folder, FolderSource(images), overwrite=True, out=tmp_path / "attached")
    (one,), (other,) = read_records(folder), read_records(tmp_path / "attached")
    assert replace(one, folder="") == replace(other, folder="")


def test_two_networks_of_one_name_are_refused(
    tmp_path: Path, images: Path, finetuned: Path
) -> None:
    parts = []
    for number in (2, 3):
        save_file(state_of(number), finetuned)
        folder = built(tmp_path / str(number), images, "--model", "smallnet", "--layers", "conv1",
                       "--weights", finetuned)  # fmt: skip
        parts.append(milannotations.load(folder))
    with pytest.raises(InputError, match="networks with different weights"):
        network_of(concatenate_datasets(parts), "smallnet", "finetuned")


def test_latents_of_an_autoencoder_are_dissected_with_it(tmp_path: Path, images: Path) -> None:
    rng = torch.Generator().manual_seed(0)
    path = tmp_path / "sae.safetensors"

    def write(place: Path, sign: float) -> None:
        weight = sign * torch.randn(24, 9, generator=rng)
        save_file({"W_enc": weight, "b_enc": torch.zeros(9)}, place)

    write(path, 1.0)
    folder = built(tmp_path / "out", images, "--model", "smallnet", "--weights", "random",
                   "--sae", f"conv1={path}")  # fmt: skip
    assert len(described(folder, tmp_path / "out.csv")) == 9
    moved = tmp_path / "moved.safetensors"
    path.rename(moved)
    with pytest.raises(InputError, match="option sae=conv1=PATH"):
        described(folder, tmp_path / "again.csv")
    again = described(folder, tmp_path / "again.csv", f"sae=conv1={moved}")
    assert again == described(folder, tmp_path / "more.csv", f"sae=conv1={moved}")
    write(moved, -1.0)
    with pytest.raises(InputError, match="the autoencoder of layer 'conv1' has the hash"):
        described(folder, tmp_path / "last.csv", f"sae=conv1={moved}")


def test_modules_given_in_python(
    tmp_path: Path, images: Path, published: dict[str, torch.Tensor]
) -> None:
    options = BuildOptions(k=3, size=32)
    source = ImageFolder(images, PREPROCESSING)

    def of(module: nn.Module, out: str, model: str = "smallnet") -> Any:
        build(
            BuildRequest(
                module=module,
                source=source,
                layers=["conv1"],
                out=tmp_path / out,
                model=model,
                dataset="imagenet",
                options=options,
            )
        )
        return milannotations.load(tmp_path / out)

    network = SmallNet()
    network.load_state_dict(published)
    assert network_of(of(network, "same"), "smallnet", "imagenet").spec == "smallnet-imagenet"
    network.load_state_dict(state_of(2))
    other = of(network, "other")
    with pytest.raises(InputError, match="a module smallnet made in Python, whose parameters"):
        network_of(other, "smallnet", "imagenet")
    with pytest.raises(InputError, match="given to build in Python, so the data set records no"):
        network_of(of(network, "third", "my-own"), "my-own", "imagenet")
    # What load_model gave is known without a word, and weights that were changed later are noticed.
    loaded = load_model("smallnet", "random")
    assert network_of(of(loaded.module, "fourth"), "smallnet", "imagenet").weights == "random"
    # An experiment has the network in memory, however it was made.
    with network_at_hand(replace(loaded, module=network)):
        assert network_of(other, "smallnet", "imagenet").module is network
    with torch.no_grad():
        next(loaded.module.parameters()).add_(1)
    with pytest.raises(InputError, match="smallnet with weights random has"):
        network_of(of(loaded.module, "fifth"), "smallnet", "imagenet")


def test_without_a_record_the_published_network_is_assumed(
    tmp_path: Path, images: Path, published: dict[str, torch.Tensor]
) -> None:
    folder = built(tmp_path / "out", images, "--model", "smallnet", "--layers", "conv1")
    (folder / "build.json").unlink()
    neurons = milannotations.load(folder)
    lines: list[str] = []
    assert network_of(neurons, "smallnet", "imagenet", say=lines.append).spec == "smallnet-imagenet"
    assert len(lines) == 1
    assert "the published smallnet-imagenet is assumed" in lines[0]
    # Never the published one for a network that was trained on something else.
    with pytest.raises(InputError, match="record which network the neurons of smallnet/finetuned"):
        network_of(neurons, "smallnet", "finetuned", say=lines.append)
    assert len(lines) == 1
    assert network_of(neurons, "x", "y", NetworkChoice("smallnet", "random")).spec == "smallnet"


def test_folders_of_earlier_versions_are_read(
    tmp_path: Path, images: Path, published: dict[str, torch.Tensor], finetuned: Path
) -> None:
    folder = built(tmp_path / "out", images, "--model", "smallnet", "--layers", "conv1",
                   "--weights", finetuned)  # fmt: skip
    plain = json.loads((folder / "build.json").read_text())
    del plain["network"]
    (folder / "build.json").write_text(json.dumps(plain))
    neurons = milannotations.load(folder)
    loaded = network_of(neurons, "smallnet", "finetuned")
    assert hash_of_weights(loaded.module) == plain["weights_sha256"]
    save_file(state_of(5), finetuned)
    with pytest.raises(InputError, match="whose parameters have the hash"):
        network_of(neurons, "smallnet", "finetuned")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"network": []}', '{"network": {"spec": 3}}'])
def test_damaged_records_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "build.json").write_text(text)
    assert read_records(tmp_path) == []


def test_exemplars_of_another_network_are_refused(
    tmp_path: Path, images: Path, finetuned: Path
) -> None:
    folder = built(tmp_path / "out", images, "--model", "smallnet", "--layers", "conv1",
                   "--weights", finetuned, "--dataset", "mine")  # fmt: skip
    neurons = milannotations.load(folder)
    same = load_model("smallnet", str(finetuned), "mine")
    check_same_network(neurons, same, "out")
    other = load_model("smallnet", "random", "mine")
    with pytest.raises(InputError, match="out was built from smallnet with weights") as raised:
        check_same_network(neurons, other, "out")
    for module in (same.module, other.module):
        assert hash_of_weights(module) in str(raised.value)
    bare = neurons.select([0])
    bare.info.description = "text of its own"
    check_same_network(bare, other, "out")
    attach_records(bare, records_in(neurons))
    assert bare.info.description.startswith("text of its own\n\n")
    assert records_in(bare) == records_in(neurons)


def test_outputs_changed_in_place_are_read_as_they_were(tmp_path: Path, images: Path) -> None:
    for rule in ("before", "after"):
        folder = built(tmp_path / rule, images, "--model", "smallnet", "--weights", "random",
                       "--layers", "conv1", "--in-place", rule)  # fmt: skip
        assert network_of(milannotations.load(folder), "smallnet", "random").in_place == rule
    plain = json.loads((tmp_path / "after" / "build.json").read_text())
    del plain["network"], plain["options"]["in_place"]  # as before there was a choice
    (tmp_path / "after" / "build.json").write_text(json.dumps(plain))
    assert network_of(milannotations.load(folder), "smallnet", "random").in_place == "before"
