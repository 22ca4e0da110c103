"""Readers of binary input: arrays, zips, weights, tables in Parquet files, and records."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from torch import nn

from baselines.concepts.activations import RecordedMaps
from baselines.milan.model import Milan
from leaderboard.submission.descriptions import place_rows, read_rows
from leaderboard.submission.package import open_package
from leaderboard.submission.problems import Problems
from milannotations.annotations import read_annotations, read_descriptions
from milannotations.attach.shards import open_shards
from milannotations.autoencoders.loading import load_autoencoder
from milannotations.catalog.weights import load_weights
from milannotations.catalog_export.writing import write_catalog
from milannotations.errors import InputError
from milannotations.exemplars.latents import read_latents
from milannotations.exemplars.shards import read_header
from milannotations.hub.contents import read_contents, with_fingerprint
from milannotations.inputs.generators import LatentSpace
from milannotations.loading import load, load_split
from milannotations.record import NeuronKey
from milannotations.release.importer import import_release
from milannotations.release_export.exporter import export_release
from milannotations.viewer.facts import Statistics
from tests.bad_inputs.cases import reader
from tests.bad_inputs.readers import LAYER


def _copied(path: Path, to: Path) -> Path:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, to)
    return to


def _texts(texts: dict[NeuronKey, Any]) -> dict[str, Any]:
    return {f"{key.layer}:{key.unit}": text for key, text in texts.items()}


@reader("import-release masks.npy", "array")
def masks(path: Path, work: Path) -> Any:
    _copied(path, work / "release" / LAYER / "masks.npy")
    import_release(work / "release", work / "out", model="net", dataset="shapes")
    return len(load(work / "out"))


@reader("dissect activations: ARRAY", "array")
def activations(path: Path, work: Path) -> Any:
    _copied(path, work / "maps.npy")
    index = {"input_size": [8, 8], "layers": {LAYER: "maps.npy"}}
    (work / "activations.json").write_text(json.dumps(index))
    return RecordedMaps(work).layers


@reader("build --latents", "array", "zip")
def latents(path: Path, work: Path) -> Any:
    return len(read_latents(path, nn.Identity(), LatentSpace((4,), 0)))


@reader("import-release ZIP", "zip")
def release(path: Path, work: Path) -> Any:
    import_release(path, work / "out", model="net", dataset="shapes")
    return len(load(work / "out"))


@reader("leaderboard validate ZIP", "zip")
def submission(path: Path, work: Path) -> Any:
    problems = Problems()
    open_package(path, problems)
    if problems:
        raise InputError("\n".join(problems.lines()))
    return None


@reader("build --weights", "tensors", "checkpoint")
def weights(path: Path, work: Path) -> Any:
    network = nn.Linear(4, 3)
    load_weights(network, path)
    return float(network.weight.sum())


@reader("build --sae", "tensors", "checkpoint")
def autoencoder(path: Path, work: Path) -> Any:
    return str(load_autoencoder(path))


@reader("merge SHARD", "tensors")
def shard(path: Path, work: Path) -> Any:
    return read_header(path).done


@reader("import-checkpoint", "checkpoint")
def original(path: Path, work: Path) -> Any:
    return str(Milan.from_checkpoint(path))


@reader("score --descriptions PARQUET", "parquet")
def descriptions(path: Path, work: Path) -> Any:
    return _texts(read_descriptions(path))


@reader("score --references PARQUET", "parquet")
def references(path: Path, work: Path) -> Any:
    return _texts(read_annotations(path))


@reader("leaderboard validate PARQUET", "parquet")
def described(path: Path, work: Path) -> Any:
    folder = work / "sent"
    _copied(path, folder / "descriptions.parquet")
    problems = Problems()
    package = open_package(folder, problems)
    assert package.table is not None

    problems = Problems()
    keys = [NeuronKey("", "", LAYER, unit) for unit in range(3)]
    rows = read_rows(package.table, "descriptions.parquet", problems)
    texts = place_rows(rows, {"test": keys}, "descriptions.parquet", problems)
    if problems:
        raise InputError("\n".join(problems.lines()))
    return {f"{LAYER}:{unit}": text for unit, text in enumerate(texts["test"])}


@reader("view statistics.parquet", "parquet")
def statistics(path: Path, work: Path) -> Any:
    _copied(path, work / "statistics.parquet")
    Statistics([work])
    return None


@reader("load PARQUET", "parquet", "records")
def records(path: Path, work: Path) -> Any:
    return len(load(_copied(path, work / path.name)))


@reader("attach-images", "parquet", "records")
def attached(path: Path, work: Path) -> Any:
    _copied(path, work / "data" / path.name)
    return len(open_shards(work, True))


@reader("push", "parquet", "records")
def pushed(path: Path, work: Path) -> Any:
    _copied(path, work / "mine" / "data" / path.name)
    contents = with_fingerprint(read_contents(work / "mine"), lambda: None)
    return contents.facts.neurons


@reader("export-release", "records")
def exported(path: Path, work: Path) -> Any:
    return export_release(load_split(_copied(path, work / path.name)), work / "out").layers


@reader("export-catalog", "records")
def catalog(path: Path, work: Path) -> Any:
    return write_catalog(load_split(_copied(path, work / path.name)), work / "out").images
