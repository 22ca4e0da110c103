"""CLIP-Dissect: SoftWPMI by its definition, exemplars and probe images, and mistakes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from baselines.clip_dissect import scores as scores_module
from baselines.clip_dissect.describer import ClipDissect
from baselines.clip_dissect.scores import soft_wpmi
from benchmark.contrastive import ContrastiveModel
from milannotations.catalog.models import load_model
from milannotations.errors import InputError
from milannotations.exemplars.responses import responses
from milannotations.inputs.sources import ImageFolder
from tests.baselines.milan.made_up import neurons
from tests.baselines.tiny_transformers import tiny_clip

TEXTS = ["red circles", "a dog", "blue striped squares", "large yellow stars", "things"]


def by_definition(cosines: np.ndarray, top: np.ndarray, weight: float) -> np.ndarray:
    """SoftWPMI in double precision, unit by unit, concept by concept, image by image."""
    units, k = top.shape
    concepts = cosines.shape[1]
    given = np.zeros((units, concepts))
    for unit in range(units):
        for concept in range(concepts):
            for rank in range(k):
                row = 10 * cosines[top[unit, rank]]
                probability = math.exp(row[concept]) / sum(math.exp(v) for v in row)
                inclusion = 0.998 - rank / k * (0.998 - 0.97)
                given[unit, concept] += math.log(1 + inclusion * (probability - 1) + 1e-7)
    prior = np.log(np.exp(given).mean(0))
    return given - weight * prior


@pytest.mark.parametrize("weight", [0.0, 0.6, 1.0])
def test_soft_wpmi_by_definition(monkeypatch: pytest.MonkeyPatch, weight: float) -> None:
    rng = np.random.default_rng(0)
    cosines = rng.uniform(-0.2, 0.6, (12, 5))
    top = np.stack([rng.permutation(12)[:7] for _ in range(4)])
    expected = by_definition(cosines, top, weight)
    descriptions = soft_wpmi(torch.tensor(cosines), torch.tensor(top), weight)
    assert np.allclose(descriptions, expected, atol=1e-6)
    monkeypatch.setattr(scores_module, "_AT_ONCE", 1)  # one unit at a time
    assert np.allclose(soft_wpmi(torch.tensor(cosines), torch.tensor(top), weight), expected)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_clip(tmp_path_factory.mktemp("clip")))


@pytest.fixture
def texts(tmp_path: Path) -> str:
    place = tmp_path / "texts.txt"
    place.write_text("\n".join([*TEXTS, "", TEXTS[0]]), encoding="utf-8")
    return str(place)


def test_exemplars_as_the_images(clip: str, texts: str) -> None:
    records = neurons(4)
    descriptions = ClipDissect(clip=clip, texts=texts, device="cpu", batch_size=3).describe(records)
    model = ContrastiveModel(clip)
    seen = torch.cat([model.images(list(record["images"])) for record in records])
    top = torch.arange(12).view(4, 3)
    expected = soft_wpmi(seen @ model.texts(TEXTS).T, top)
    for description, row in zip(descriptions, expected, strict=True):
        order = row.argsort(descending=True).tolist()
        assert [description.text, *description.alternatives] == [TEXTS[i] for i in order]
        assert description.score == pytest.approx(float(row.max()), abs=1e-5)


def test_layers_are_scored_apart(clip: str, texts: str) -> None:
    records = neurons(4)
    layers = ["a", "a", "b", "b"]
    split = records.remove_columns("layer").add_column("layer", layers)
    describer = ClipDissect(clip=clip, texts=texts, device="cpu")
    together = describer.describe(split.select_columns(records.column_names))
    apart = describer.describe(records.select([0, 1])) + describer.describe(records.select([2, 3]))
    assert [d.text for d in together] == [d.text for d in apart]
    assert [d.score for d in together] == pytest.approx([d.score for d in apart], abs=1e-5)


def test_training_annotations_as_the_texts(clip: str) -> None:
    describer = ClipDissect(clip=clip, device="cpu")
    with pytest.raises(InputError, match="no texts to choose from"):
        describer.describe(neurons(1))
    describer.fit(neurons(2, annotations=[["Red circles.", "a dog"], ["red circles", " "]]))
    (descriptions,) = describer.describe(neurons(1))
    assert {descriptions.text, *descriptions.alternatives} == {"red circles", "a dog"}
    assert describer.describe(neurons(1).select([])) == []


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(9):
        pixels = rng.integers(0, 255, (6, 6, 3)).astype(np.uint8)
        Image.fromarray(pixels).resize((80, 80)).save(folder / f"{index}.png")
    return folder


@pytest.mark.slow
def test_probe_images_as_the_authors_do_it(clip: str, texts: str, photographs: Path) -> None:
    """The images are those of highest mean activation, found here with torch alone."""
    records = neurons(3)
    rename = {"model": "efficientnet_lite0", "dataset": "imagenet", "layer": "_blocks.3"}
    records = records.map(lambda row: rename, features=records.features)
    describer = ClipDissect(
        clip=clip, texts=texts, images=str(photographs), top=4, batch_size=4, device="cpu"
    )
    descriptions = describer.describe(records)
    loaded = load_model("efficientnet_lite0")
    source = ImageFolder(photographs, loaded.preprocessing)
    maps = []
    handle = loaded.module.get_submodule("_blocks.3").register_forward_hook(
        lambda module, args, output: maps.append(output.mean((2, 3)))
    )
    with torch.no_grad():
        for index in range(9):
            loaded.module.eval()(source.inputs(index)[None])
    handle.remove()
    activations = torch.cat(maps)
    found_means = responses(loaded.module, ["_blocks.3"], source, reduction="mean")["_blocks.3"]
    assert torch.allclose(found_means, activations, atol=1e-4)
    model = ContrastiveModel(clip)
    seen = model.images([source.image(index) for index in range(9)])
    top = activations[:, :3].T.topk(4, dim=1).indices
    expected = soft_wpmi(seen @ model.texts(TEXTS).T, top)
    assert [d.text for d in descriptions] == [TEXTS[i] for i in expected.argmax(1).tolist()]
    far = records.map(lambda row: {"unit": 4000}, features=records.features)
    with pytest.raises(InputError, match="there is a neuron 4000"):
        describer.describe(far)


def test_mistakes(clip: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        ClipDissect(clip=clip, texts=str(tmp_path / "none.txt"), device="cpu")
    empty = tmp_path / "empty.txt"
    empty.write_text("\n\n")
    with pytest.raises(InputError, match="holds no texts"):
        ClipDissect(clip=clip, texts=str(empty), device="cpu")
    with pytest.raises(InputError, match="at least 1"):
        ClipDissect(clip=clip, top=0, device="cpu")
    bare = neurons(1).map(lambda row: {"images": []}, features=neurons(1).features)
    describer = ClipDissect(clip=clip, device="cpu")
    describer.fit(neurons(1, annotations=[["red"]]))
    with pytest.raises(InputError, match="attach the source images"):
        describer.describe(bare)
