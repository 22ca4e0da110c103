"""Records, views, fingerprints, describers' registry, tables and atomic writes."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset
from PIL import Image

from milannotations.annotations import align, read_annotations, read_descriptions, to_dataset
from milannotations.describer import Describer, available, create
from milannotations.errors import InputError
from milannotations.fingerprints import fingerprint
from milannotations.loading import load
from milannotations.record import (
    FEATURES,
    NeuronKey,
    encode_mask,
    image_grid,
    masked_image,
    masked_images,
    validate,
)
from milannotations.storage import atomic_folder, atomic_path


def _record(**changes: object) -> dict[str, object]:
    image = Image.new("RGB", (8, 8), (200, 100, 50))
    mask = Image.fromarray(np.tri(8, dtype=bool))
    made = {
        "model": "m", "dataset": "d", "layer": "l", "unit": 0, "images": [image] * 2,
        "masks": [mask] * 2, "activations": [2.0, 1.0], "image_ids": [5, 6], "threshold": 0.5,
        "annotations": ["a dog"],
    }  # fmt: skip
    return {**made, **changes}


def test_masking_darkens_only_outside() -> None:
    record = _record()
    seen = np.asarray(masked_images(record, opacity=0.75)[0])
    inside = np.tri(8, dtype=bool)
    assert (seen[inside] == (200, 100, 50)).all()
    assert (seen[~inside] == (50, 25, 12)).all()
    assert np.asarray(masked_image(record["images"][0], record["masks"][0], 0))[0, 7, 0] == 200
    assert image_grid(masked_images(record) * 3, columns=4, gap=1).size == (4 * 9 - 1, 2 * 9 - 1)


@pytest.mark.parametrize("shape", [(224, 224), (7, 9), (1, 1), (3, 8)])
def test_encoded_masks_are_one_bit_pngs(shape: tuple[int, int]) -> None:
    mask = np.random.default_rng(0).random(shape) > 0.5
    with Image.open(io.BytesIO(encode_mask(mask))) as read:
        read.load()
        assert (read.format, read.mode) == ("PNG", "1")
        assert np.array_equal(np.asarray(read), mask)
    with Image.open(io.BytesIO(encode_mask(mask))) as read:
        read.verify()  # checks every checksum


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"unit": -1}, "unit is -1"),
        ({"activations": [1.0, 2.0]}, "descending"),
        ({"activations": [1.0]}, "1 activations for 2 masks"),
        ({"activations": [float("nan"), 1.0]}, "NaN"),
        ({"image_ids": [-1, 2]}, "negative"),
        ({"threshold": float("inf")}, "threshold"),
        ({"images": [Image.new("RGB", (8, 8))]}, "1 images for 2 masks"),
        ({"images": [Image.new("RGB", (9, 8))] * 2}, "its mask"),
        ({"masks": [Image.new("L", (8, 8))] * 2}, "one-bit"),
    ],
)
def test_invalid_records_say_what_is_wrong(changes: dict[str, object], match: str) -> None:
    validate(_record())
    with pytest.raises(InputError, match=match):
        validate(_record(**changes))


def test_views_refuse_what_cannot_work() -> None:
    record = _record()
    with pytest.raises(InputError, match="opacity"):
        masked_image(record["images"][0], record["masks"][0], 1.5)
    with pytest.raises(InputError, match="sizes must be equal"):
        masked_image(record["images"][0], Image.new("1", (4, 4)))
    with pytest.raises(InputError, match="no images"):
        image_grid([])


def test_fingerprint_depends_on_content_not_on_order() -> None:
    test = load("demo", "test")
    part = test.select(range(6))
    assert fingerprint(part) == fingerprint(test.select([3, 1, 5, 0, 2, 4]))
    assert fingerprint(part) != fingerprint(test.select(range(1, 7)))


def test_embedded_data_is_valid_and_loads_by_public_means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    data = load_dataset("milannotations")
    assert {s: len(d) for s, d in data.items()} == {
        "train": 172, "validation": 36, "test": 85, "network": 240,
    }  # fmt: skip
    keys = set()
    for split in data.values():
        assert split.features == FEATURES
        for row in split:
            validate(row)
            assert len(row["masks"]) == len(row["images"]) == 15
            keys.add((row["model"], row["layer"], row["unit"]))
    assert len(keys) == sum(len(d) for d in data.values())
    folder = Path("milannotations/data/demo")
    assert sum(path.stat().st_size for path in folder.iterdir()) < 15_000_000


def test_embedded_references_are_those_of_the_code() -> None:
    from milannotations.worlds import synthetic_neurons

    for split in ("train", "validation", "test"):
        stored = {(r["layer"], r["unit"]): r["annotations"] for r in load("demo", split)}
        made = {
            (n.layer, n.unit): list(n.references) for n in synthetic_neurons() if n.split == split
        }
        assert stored == made


def test_exemplars_of_test_are_none_of_training() -> None:
    from milannotations.record import undecoded

    images = [
        {i["bytes"] for images in undecoded(load("demo", s))["images"] for i in images}
        for s in ("train", "validation", "test")
    ]
    assert not images[0] & images[1] | images[0] & images[2] | images[1] & images[2]


def test_registry() -> None:
    assert {"oracle", "retrieval", "constant", "random-train"} <= set(available())
    made = create("constant", text="x")
    assert isinstance(made, Describer)
    with pytest.raises(InputError, match="did you mean 'oracle'"):
        create("orcale")
    with pytest.raises(InputError, match="colour"):
        create("constant", colour="red")


def test_tables_keep_text_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(
        b"\xef\xbb\xbflayer,unit,summary,extra\r\n0,1,None,x\r\n"
        b'0,1,"dogs, and\ncats",y\r\n4,0,nan,z\r\n'
    )
    assert read_annotations(path) == {
        NeuronKey("", "", "0", 1): ["None", "dogs, and\ncats"],
        NeuronKey("", "", "4", 0): ["nan"],
    }
    assert to_dataset(read_annotations(path)).features == FEATURES


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("layer,unit,descriptoin\na,1,x\n", "did you mean 'descriptoin'"),
        ("layer,unit,description\na,one,x\n", "line 2 has unit 'one'"),
        ("layer,unit,description\na,1,x\na,1,y\n", "line 3 describes"),
        ("layer,unit,description\n", "no rows"),
        ("", "cannot be read"),
    ],
)
def test_bad_tables(tmp_path: Path, text: str, match: str) -> None:
    path = tmp_path / "d.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=match):
        read_descriptions(path)


def test_alignment() -> None:
    a, b = NeuronKey("", "", "l", 0), NeuronKey("", "", "l", 1)
    with pytest.raises(InputError, match="1 of 2 annotated neurons have no description"):
        align({a: ["x"], b: ["y"]}, {a: "d"})
    assert align({a: ["x"], b: ["y"]}, {a: "d"}, only_described=True) == [a]
    with pytest.raises(InputError, match="belong to no annotated neuron"):
        align({a: ["x"]}, {b: "d"})


def test_interrupted_writes_leave_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_path(target) as path:
        path.write_text("half")
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt), atomic_folder(tmp_path / "folder") as folder:
        (folder / "x").write_text("half")
        raise KeyboardInterrupt
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert target.read_text() == "old"
