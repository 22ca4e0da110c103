"""Names, folders, files, filters and single neurons; the routes of configs are in test_routes."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict, concatenate_datasets, load_dataset
from datasets import load as hf_load

from milannotations import ExemplarDataset, builder, registration
from milannotations.catalog.releases import GROUPS, RELEASES, canonical, members
from milannotations.data_home import config_folder
from milannotations.errors import InputError
from milannotations.fingerprints import fingerprint
from milannotations.loading import load, load_split, lookup
from milannotations.record import FEATURES, encoded_records, masked_images
from milannotations.release.importer import import_release
from milannotations.worlds.release import write_release


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MILANNOTATIONS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def neurons(tmp_path: Path) -> Dataset:
    """The config alexnet-places365, much reduced."""
    write_release(tmp_path / "alexnet-places365", {"conv1": 4, "7": 3}, k=2, size=8)
    import_release(tmp_path / "alexnet-places365", config_folder("alexnet-places365"))
    return load_split("alexnet/places365")


def test_published_numbers() -> None:
    """Units per network and in all: MILAN paper, table 1."""
    for release in RELEASES.values():
        assert sum(release.layers.values()) == release.units
    assert sum(release.units for release in RELEASES.values()) == 20_272
    assert len(GROUPS["base"]) == 6
    assert not any("dino" in member for group in GROUPS.values() for member in group)


@pytest.mark.parametrize(
    "group, expected",
    [
        ("cls", {"alexnet-imagenet", "alexnet-places365", "resnet152-imagenet",
                 "resnet152-places365"}),
        ("gen", {"biggan-imagenet", "biggan-places365"}),
        ("imagenet", {"alexnet-imagenet", "resnet152-imagenet", "biggan-imagenet"}),
        ("places365", {"alexnet-places365", "resnet152-places365", "biggan-places365"}),
        ("resnet152", {"resnet152-imagenet", "resnet152-places365"}),
        ("not-biggan/imagenet", set(GROUPS["base"]) - {"biggan-imagenet"}),
        ("dino_vits8/imagenet", {"dino_vits8-imagenet"}),
    ],
)  # fmt: skip
def test_groups(group: str, expected: set[str]) -> None:
    assert set(members(group)) == expected
    assert canonical(group) == group.replace("/", "-")


def test_a_group_that_lacks_a_member_says_which(neurons: Dataset) -> None:
    with pytest.raises(InputError, match="'alexnet-imagenet' is not installed"):
        load("alexnet")


@pytest.mark.parametrize("name", ["alexnet/imagnet", "bas", "not-alexnet"])
def test_unknown_names_are_told_the_nearest(name: str) -> None:
    with pytest.raises(InputError, match="did you mean"):
        load(name)


def test_folders_files_and_saved_datasets_give_the_same(neurons: Dataset, tmp_path: Path) -> None:
    parquet = tmp_path / "neurons.parquet"
    neurons.to_parquet(str(parquet))
    neurons.save_to_disk(str(tmp_path / "saved"))
    DatasetDict({"a": neurons, "b": neurons.select([0])}).save_to_disk(str(tmp_path / "splits"))
    for place in (parquet, tmp_path / "saved", config_folder("alexnet-places365")):
        assert fingerprint(load_split(place)) == fingerprint(neurons), place
    splits = load(tmp_path / "splits")
    assert isinstance(splits, DatasetDict)
    assert {name: len(part) for name, part in splits.items()} == {"a": 7, "b": 1}
    assert len(load_split(tmp_path / "splits", "b")) == 1
    with pytest.raises(InputError, match=r"has the splits \['a', 'b'\]; name one"):
        load_split(tmp_path / "splits")
    with pytest.raises(InputError, match=r"has the splits \['a', 'b'\], not 'c'"):
        load(tmp_path / "splits", "c")


@pytest.mark.parametrize("option", ["config", "revision"])
def test_options_of_repositories_are_refused_elsewhere(option: str) -> None:
    with pytest.raises(InputError, match=f"'demo' takes no {option}"):
        load("demo", **{option: "main"})  # type: ignore[arg-type]


def test_annotations_alone(tmp_path: Path) -> None:
    (tmp_path / "some.csv").write_text("layer,unit,summary\n4,1,a dog\n4,1,dogs\n5,0,None\n")
    neurons = load_split(tmp_path / "some.csv")
    assert neurons.features == FEATURES
    assert lookup(neurons, "4", 1)["annotations"] == ["a dog", "dogs"]
    stream = load(tmp_path / "some.csv", streaming=True)
    assert [record["annotations"] for record in stream] == [["a dog", "dogs"], ["None"]]


def test_other_tables_are_refused(tmp_path: Path) -> None:
    Dataset.from_dict({"layer": ["a"]}).to_parquet(str(tmp_path / "other.parquet"))
    for streaming in (False, True):
        with pytest.raises(InputError, match="lacks the columns"):
            load(tmp_path / "other.parquet", streaming=streaming)
    for place, message in (
        (tmp_path / "nothing", "does not exist"),
        (tmp_path, r"no folder or file that can be read|lacks the columns"),
    ):
        with pytest.raises(InputError, match=message):
            load(place)


def test_filters(neurons: Dataset) -> None:
    def keys(part: Any) -> list[tuple[str, int]]:
        return [(record["layer"], record["unit"]) for record in part]

    assert keys(load("alexnet-places365", layers="7")) == [("7", 0), ("7", 1), ("7", 2)]
    assert keys(load("alexnet-places365", units=[2])) == [("7", 2), ("conv1", 2)]
    both = {"layers": ["conv1"], "units": range(1, 3)}
    assert keys(load("alexnet-places365", **both)) == [("conv1", 1), ("conv1", 2)]
    assert keys(load("alexnet-places365", streaming=True, **both)) == [("conv1", 1), ("conv1", 2)]
    with pytest.raises(InputError, match="no layer 'conv'; did you mean 'conv1'"):
        load("alexnet-places365", layers=["conv"])
    with pytest.raises(InputError, match=r"unit in \[99\]"):
        load("alexnet-places365", units=[99])


def test_lookup(neurons: Dataset) -> None:
    assert lookup(neurons, "conv1", 3)["annotations"][0].startswith("red things, number 3")
    assert lookup(neurons, 7, 2)["layer"] == "7"  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"no neuron conv1:4 \(layers: 7, conv1\)"):
        lookup(neurons, "conv1", 4)
    with pytest.raises(InputError, match="no neuron conv2:0; did you mean 'conv1'"):
        lookup(neurons, "conv2", 0)
    rows = [{**row, "model": "other"} for row in neurons]
    both = concatenate_datasets([neurons, Dataset.from_list(rows, features=neurons.features)])
    with pytest.raises(InputError, match="2 networks have a neuron conv1:0"):
        lookup(both, "conv1", 0)
    assert lookup(both, "conv1", 0, model="other")["model"] == "other"
    assert lookup(both, "conv1", 0, "other", "places365")["model"] == "other"


def test_encoded_records_are_not_decoded(neurons: Dataset) -> None:
    records = list(encoded_records(neurons, ["unit", "masks"]))
    assert [record["unit"] for record in records] == list(neurons["unit"])
    assert set(records[0]) == {"unit", "masks"}
    assert records[0]["masks"][0]["bytes"].startswith(b"\x89PNG")


def test_torch_view_is_the_originals_tuple(neurons: Dataset) -> None:
    view = ExemplarDataset(neurons)
    record = neurons[4]
    layer, unit, images, masks, annotations = view[4]
    assert (layer, unit) == (record["layer"], record["unit"])
    assert images.dtype == masks.dtype == torch.float32
    expected = np.stack([np.asarray(i) for i in record["images"]]).transpose(0, 3, 1, 2) / 255
    assert np.allclose(images.numpy(), expected, atol=1e-6)
    assert np.array_equal(masks[:, 0].numpy(), np.stack([np.asarray(m) for m in record["masks"]]))
    assert annotations == tuple(record["annotations"])
    assert (len(view), view.k, view.layers) == (7, 2, ("7", "conv1"))
    assert view.unit(4) == (layer, unit)
    assert view.units([4, 0]) == ((layer, unit), view.unit(0))
    assert torch.equal(view.lookup(layer, unit).images, images)
    shown = view[4].as_masked_images_tensor(0.75) * 255
    darkened = np.stack([np.asarray(image) for image in masked_images(record, 0.75)])
    assert np.abs(shown.numpy().transpose(0, 2, 3, 1) - darkened).max() <= 0.5
    batch = next(iter(torch.utils.data.DataLoader(view, batch_size=3)))
    assert batch[2].shape == (3, 2, 3, 8, 8)


def test_torch_view_counts_annotations_and_transforms(neurons: Dataset) -> None:
    rows = list(neurons)
    rows[0]["annotations"], rows[1]["annotations"] = ["one"], ["1", "2", "3", "4"]
    changed = Dataset.from_list(rows, features=neurons.features)
    assert len(ExemplarDataset(changed)) == 6
    assert ExemplarDataset(changed)[0].annotations == ("1", "2", "3")
    assert len(ExemplarDataset(changed, annotation_count=None)[1].annotations) == 4
    view = ExemplarDataset(
        changed,
        transform_images=lambda images: images[:1],
        transform_masks=lambda masks: 1 - masks,
        transform_annotations=lambda texts: [text.upper() for text in texts[:1]],
    )
    plain = ExemplarDataset(changed)[2]
    assert view[2].images.shape == (1, 3, 8, 8)
    assert torch.equal(view[2].masks, 1 - plain.masks)
    assert view[2].annotations == (plain.annotations[0].upper(),)
    with pytest.raises(InputError, match="no neuron has 9 annotations"):
        ExemplarDataset(neurons, annotation_count=9)
    bare = Dataset.from_list([{**row, "images": []} for row in rows], features=neurons.features)
    with pytest.raises(InputError, match="attach the source images"):
        ExemplarDataset(bare)


def test_what_is_loaded_is_mapped_and_travels_by_its_path(neurons: Dataset, tmp_path: Path) -> None:
    (file,) = neurons.cache_files
    usual = Dataset.from_file(file["filename"])
    assert usual[:]["annotations"] == neurons[:]["annotations"]
    assert fingerprint(usual) == fingerprint(neurons)
    sent = pickle.dumps(neurons)
    assert b"PNG" in Path(file["filename"]).read_bytes()
    assert b"PNG" not in sent
    assert fingerprint(pickle.loads(sent)) == fingerprint(neurons)
    loader = torch.utils.data.DataLoader(ExemplarDataset(neurons), batch_size=7, num_workers=1)
    assert next(iter(loader))[1].tolist() == list(neurons["unit"])
    in_memory = builder.Milannotations(config_name="alexnet-places365")
    assert in_memory.as_dataset("train", in_memory=True).cache_files == []
    assert len(in_memory.as_dataset("train[:2]")) == 2


def test_registering_is_undone_and_guarded(
    neurons: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    registration.register()
    registration.register()
    try:
        found = load_dataset("milannotations", "alexnet/places365", split="train")
        assert fingerprint(found) == fingerprint(neurons)
        with pytest.raises(InputError, match="neither data_files nor data_dir"):
            load_dataset("milannotations", "alexnet-places365", data_dir=str(tmp_path))
        table = {"layer": ["a"]}
        Dataset.from_dict(table).to_csv(str(tmp_path / "x.csv"))
        assert load_dataset("csv", data_files="x.csv", split="train")["layer"][:] == ["a"]
    finally:
        registration.unregister()
    with pytest.raises((OSError, ValueError)):
        load_dataset("milannotations", "alexnet-places365")
    monkeypatch.delattr(hf_load, "PackagedDatasetModuleFactory")
    with pytest.raises(InputError, match=r"use milannotations\.load"):
        registration.register()


def test_a_damaged_shard_is_told(neurons: Dataset) -> None:
    for shard in (config_folder("alexnet-places365") / "data").iterdir():
        shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"is damaged .*--overwrite"):
        load("alexnet-places365")


def test_a_cache_that_cannot_be_written(
    neurons: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(InputError, match="set HF_DATASETS_CACHE"):
        load("alexnet-places365")


def test_an_interrupted_copy_into_the_cache_is_not_taken_for_complete(
    neurons: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cache = str(tmp_path / "cache")

    def fails(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    unfinished = builder.Milannotations(cache, "alexnet-places365")
    with monkeypatch.context() as patched:
        patched.setattr("datasets.arrow_writer.ArrowWriter.finalize", fails)
        with pytest.raises(KeyboardInterrupt):
            unfinished.download_and_prepare()
    again = builder.Milannotations(cache, "alexnet-places365")
    assert not again.is_prepared
    again.download_and_prepare()
    assert fingerprint(again.as_dataset("train")) == fingerprint(neurons)
