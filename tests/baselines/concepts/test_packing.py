from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from baselines.concepts import packing
from baselines.concepts.atoms import atoms_of_image
from baselines.concepts.images import ConceptImages, framed_labels
from baselines.concepts.labelled_images import Labels
from baselines.concepts.packing import packed
from milannotations.errors import InputError
from milannotations.inputs.preprocessing import Preprocessing
from tests.baselines.concepts.made_up import MadeUp


def masks_of(labels: Labels, concept: int, size: tuple[int, int]) -> np.ndarray:
    """Where an image is labelled as a concept, pixel by pixel."""
    found = np.zeros(size, dtype=bool)
    for channel in labels.pixels:
        found |= channel == concept + 1
    return found | (concept + 1 in labels.whole)


def test_every_pixel_of_every_concept_is_where_it_was(tmp_path: Path) -> None:
    source = MadeUp()
    found = packed(source, folder=tmp_path / "p", shape=source.size)
    assert len(found) == len(source)
    for index in range(len(source)):
        labels = source.labels(index)
        for concept in range(len(source.concepts)):
            expected = masks_of(labels, concept, source.size)
            np.testing.assert_array_equal(found.mask(index, concept), expected)


def test_areas_multiplicities_and_presence_are_counted(tmp_path: Path) -> None:
    source = MadeUp()
    found = packed(source, folder=tmp_path / "p", shape=source.size)
    areas = np.zeros(8, dtype=int)
    labels_of = np.zeros(8, dtype=int)
    presence = np.zeros((len(source), 3), dtype=bool)
    for index in range(len(source)):
        labels = source.labels(index)
        for concept in range(8):
            mask = masks_of(labels, concept, source.size)
            areas[concept] += mask.sum()
            labels_of[concept] += (labels.pixels == concept + 1).sum()
            labels_of[concept] += labels.whole.count(concept + 1) * mask.size
            category = source.categories.index(source.concepts[concept].category)
            presence[index, category] |= mask.any()
    kept = found.partition
    np.testing.assert_array_equal(kept.concept_areas, areas)
    np.testing.assert_array_equal(kept.membership.T @ kept.areas, labels_of)
    assert labels_of.sum() > areas.sum()  # some labels are repeated in several channels
    np.testing.assert_array_equal(found.presence, presence)
    assert kept.areas.sum() == len(source) * 24 * 24


def test_labels_in_another_order_of_channels_are_the_same_atom() -> None:
    one = np.array([[1, 1, 2], [2, 0, 1]], dtype=np.uint16)
    positions, multisets, areas = atoms_of_image(one, (3,))
    assert positions[0] == positions[2] != positions[1]
    assert sorted(np.frombuffer(m, dtype=np.uint16).tolist() for m in multisets) == [
        [1, 2, 3],
        [1, 3],
    ]
    assert sorted(areas.tolist()) == [1, 2]


def test_an_image_without_labels_is_one_atom_without_concepts() -> None:
    positions, multisets, areas = atoms_of_image(np.zeros((0, 6), dtype=np.uint16))
    assert positions.tolist() == [0] * 6
    assert multisets == [b""]
    assert areas.tolist() == [6]


def test_what_is_packed_is_opened_again_without_reading_labels(tmp_path: Path) -> None:
    first = packed(MadeUp(), folder=tmp_path / "p", shape=(24, 24))
    source = MadeUp()
    again = packed(source, folder=tmp_path / "p", shape=(24, 24))
    assert not source.read
    assert again.content == first.content


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda source: MadeUp(seed=1), id="other labels"),
        pytest.param(lambda source: MadeUp(state="touched"), id="another identity"),
    ],
)
def test_other_data_are_packed_again(tmp_path: Path, change) -> None:
    packed(MadeUp(), folder=tmp_path / "p", shape=(24, 24))
    said: list[str] = []
    source = change(None)
    packed(source, folder=tmp_path / "p", shape=(24, 24), say=said.append)
    assert source.read
    assert "of other data" in said[0]


def test_a_cache_of_another_version_is_packed_again_not_misread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "VERSION", packing.VERSION + 1)
    packed(MadeUp(), folder=tmp_path / "p", shape=(24, 24))
    monkeypatch.undo()
    source = MadeUp()
    found = packed(source, folder=tmp_path / "p", shape=(24, 24))
    assert source.read
    assert json.loads((tmp_path / "p" / "concepts.json").read_text())["identity"]["version"] == 1
    assert found.mask(0, 0).shape == (24, 24)


@pytest.mark.parametrize("file", ["maps-00000.npy", "atoms.safetensors", "concepts.json"])
def test_a_damaged_cache_is_packed_again(tmp_path: Path, file: str) -> None:
    first = packed(MadeUp(), folder=tmp_path / "p", shape=(24, 24))
    path = tmp_path / "p" / file
    path.write_bytes(path.read_bytes()[:-20])
    source = MadeUp()
    again = packed(source, folder=tmp_path / "p", shape=(24, 24))
    assert source.read
    assert again.content == first.content


def test_the_content_tells_labels_apart(tmp_path: Path) -> None:
    one = packed(MadeUp(), folder=tmp_path / "a", shape=(24, 24))
    same = packed(MadeUp(state="touched"), folder=tmp_path / "b", shape=(24, 24))
    other = packed(MadeUp(seed=3), folder=tmp_path / "c", shape=(24, 24))
    assert one.content == same.content != other.content


def test_packing_goes_on_where_it_was_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "_CHUNK", 4)

    class Interrupted(MadeUp):
        def labels(self, index: int) -> Labels:
            if index == 13:
                raise KeyboardInterrupt
            return super().labels(index)

    with pytest.raises(KeyboardInterrupt):
        packed(Interrupted(), folder=tmp_path / "p", shape=(24, 24))
    assert not (tmp_path / "p").exists()
    source = MadeUp()
    found = packed(source, folder=tmp_path / "p", shape=(24, 24))
    assert min(source.read) == 12  # three chunks of four were kept
    monkeypatch.undo()
    monkeypatch.setattr(packing, "_CHUNK", 4)
    whole = packed(MadeUp(), folder=tmp_path / "q", shape=(24, 24))
    assert found.content == whole.content


def test_a_folder_of_other_files_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="no packed concepts"):
        packed(MadeUp(), folder=tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_missing_files_are_told_before_anything_is_read(tmp_path: Path) -> None:
    source = MadeUp()
    source.problems = ["a/1.png is missing", "a/2.png is missing"]
    with pytest.raises(InputError, match=r"a/1.png is missing \(and 1 more\)"):
        packed(source, folder=tmp_path / "p")
    assert not source.read


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frame": "stretch"}, "frame 'stretch'"),
        ({"shape": (300, 300)}, "300 × 300"),
        ({"shape": (0, 5)}, "0 × 5"),
    ],
)
def test_options_that_cannot_work(tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        packed(MadeUp(), folder=tmp_path / "p", **options)


@pytest.mark.parametrize("frame", ["squash", "crop"])
def test_labels_and_picture_show_the_same_part(frame: str) -> None:
    """A picture that is its own label map: the network's view and the labels must agree."""
    values = np.arange(20 * 32).reshape(20, 32) % 7 + 1

    class Striped(MadeUp):
        def image(self, index: int):
            from PIL import Image

            return Image.fromarray((values * 30).astype(np.uint8).repeat(8, 0).repeat(8, 1))

        def labels(self, index: int) -> Labels:
            return Labels(values[None].astype(np.uint16))

    images = ConceptImages(
        Striped(), frame, Preprocessing(interpolation="nearest", mean=(0.0,) * 3, std=(1.0,) * 3)
    )
    seen = (images.inputs(0)[0].numpy() * 255 / 30).round().astype(int)
    labels = framed_labels(Striped().labels(0), frame, (224, 224)).reshape(224, 224)
    assert (seen == labels).mean() > 0.97  # the two round half pixels differently
