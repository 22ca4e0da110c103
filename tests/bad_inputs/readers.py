"""Readers of tables, JSON and YAML, each as a command of this project calls it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq

import milannotations
from applications.network_descriptions import described_by_file
from benchmark.metrics.base import Metric
from benchmark.references import ORIGINAL
from benchmark.score_files import score_files
from leaderboard.submission.descriptions import place_rows, read_rows
from leaderboard.submission.package import open_package
from leaderboard.submission.problems import Problems
from milannotations.annotations import read_annotations, read_descriptions
from milannotations.errors import InputError
from milannotations.notices import notify
from milannotations.record import NeuronKey
from milannotations.release.archive import open_files
from milannotations.release.importer import import_release
from milannotations.release.layout import read_layout
from milannotations.viewer.facts import Descriptions
from tests.bad_inputs.cases import reader

# The neurons that the tables of the kind "words" describe.
LAYER, UNITS = "conv1", 3
KEYS = [NeuronKey("", "", LAYER, unit) for unit in range(UNITS)]
GOOD = "layer,unit,description\n" + "".join(f"{LAYER},{unit},a dog\n" for unit in range(UNITS))


class _AllRead(Exception):
    """Raised where scoring would begin: all files were read by then."""


def _no_metrics() -> Sequence[Metric]:
    raise _AllRead


def _plain(texts: Mapping[NeuronKey, Any]) -> dict[str, Any]:
    """Name neurons as layer:unit; a list of one text is that text."""
    return {
        f"{key.layer}:{key.unit}": text[0] if isinstance(text, list) and len(text) == 1 else text
        for key, text in texts.items()
    }


def _score(references: Path, descriptions: Path) -> None:
    try:
        score_files(
            references, [descriptions], _no_metrics, constants=(), only_described=True,
            resamples=1000, seed=0, notify=lambda line: None, protocol=ORIGINAL,
        )  # fmt: skip
    except _AllRead:
        return


def _copy(path: Path, to: Path) -> None:
    """Copy a file, a folder or a pipe."""
    if path.is_dir():
        shutil.copytree(path, to)
    elif path.is_fifo():
        os.mkfifo(to)
    else:
        shutil.copy(path, to)


def _good(work: Path) -> Path:
    path = work / "good.csv"
    path.write_text(GOOD)
    return path


@reader("score --descriptions", "words")
def score_descriptions(path: Path, work: Path) -> Any:
    _score(_good(work), path)
    return _plain(read_descriptions(path))


@reader("score --references", "words")
def score_references(path: Path, work: Path) -> Any:
    annotations = read_annotations(path)
    described = work / "good.csv"
    rows = "".join(f"{key.layer},{key.unit},a dog\n" for key in annotations)
    described.write_text(f"layer,unit,description\n{rows}")
    _score(path, described)
    return _plain(annotations)


@reader("load", "words")
def load(path: Path, work: Path) -> Any:
    records = milannotations.load(path)
    return _texts_of(records[:])


@reader("import-release TABLE", "words")
def import_table(path: Path, work: Path) -> Any:
    import_release(path, work / "imported", model="net", dataset="shapes")
    written = work / "imported" / "data" / "000-annotations.parquet"
    return _texts_of(pq.read_table(written).to_pydict())


def _texts_of(records: Mapping[str, Any]) -> dict[str, Any]:
    columns = (records[name] for name in ("layer", "unit", "annotations"))
    rows = zip(*columns, strict=True)
    return _plain({NeuronKey("", "", layer, unit): texts for layer, unit, texts in rows})


@reader("leaderboard validate", "words")
def validate(path: Path, work: Path) -> Any:
    folder = work / "submission"
    folder.mkdir()
    if path.exists():
        _copy(path, folder / "descriptions.csv")
    problems = Problems()
    package = open_package(folder, problems)
    if package.table is None:
        raise InputError("\n".join([*problems.lines(), "descriptions.csv does not exist"]))
    problems = Problems()
    rows = read_rows(package.table, path.name, problems)
    texts = place_rows(rows, {"test": KEYS}, path.name, problems)
    if problems:
        raise InputError("\n".join(problems.lines()))
    return {f"{LAYER}:{unit}": text for unit, text in enumerate(texts["test"])}


@reader("view --descriptions", "words")
def view(path: Path, work: Path) -> Any:
    descriptions = Descriptions([path], KEYS)
    for note in descriptions.notes:  # the command prints them
        notify(note)
    return {f"{k.layer}:{k.unit}": text for k in KEYS for _, text in descriptions.of(k)}


@reader("experiment --descriptions", "words")
def experiment(path: Path, work: Path) -> Any:
    loaded = SimpleNamespace(name="net", dataset="shapes")
    sites = {LAYER: SimpleNamespace(units=UNITS)}
    described = described_by_file(loaded, sites, path)
    return {f"{layer}:{unit}": text for (layer, unit), text in zip(
        described.units, described.texts, strict=True)}  # fmt: skip


@reader("import-release annotations.csv", "words")
def import_release_annotations(path: Path, work: Path) -> Any:
    release = work / "release"
    (release / LAYER).mkdir(parents=True)
    np.save(release / LAYER / "masks.npy", np.ones((UNITS, 1, 1, 4, 4), dtype=np.uint8))
    if not path.exists():
        raise InputError(f"{path} does not exist")
    _copy(path, release / "annotations.csv")
    with closing(open_files(release)) as files:
        layout = read_layout(files)
    return _plain({NeuronKey("", "", *unit): texts for unit, texts in layout.annotations.items()})
