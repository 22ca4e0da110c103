"""Readers of JSON: results and settings that people pass on, and what this project keeps."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np

from applications.class_folders import named_values
from applications.classifier import load_classifier
from baselines.compexp.explanation import ExplanationCache
from baselines.concepts.activations import RecordedMaps
from baselines.concepts.coco import CocoPanoptic
from baselines.concepts.dissection_report import load_report
from baselines.milan.model import Milan
from baselines.milan.model_folder import read_vocabulary
from baselines.netdissect.detector_report import Dissection
from benchmark.experiments.cells import _finished
from benchmark.quality.schema import read_quality
from benchmark.result import read_result
from benchmark.sanity.check_results import FOLDER, read_reports
from milannotations.autoencoders.loading import _read_config
from milannotations.data_home import HOME_VARIABLE
from milannotations.download.checksums import _read as read_checksums
from milannotations.download.partial import Partial
from milannotations.fingerprints import known_as
from milannotations.networks.consent import has_consent
from milannotations.networks.record import read_record
from milannotations.release.facts import read_facts
from tests.bad_inputs.cases import reader


def _linked(path: Path, to: Path) -> Path:
    """Put a link to a file where a reader looks for it."""
    to.parent.mkdir(parents=True, exist_ok=True)
    to.symlink_to(path)
    return to


@reader("leaderboard verify RESULT", "json")
def result(path: Path, work: Path) -> Any:
    return read_result(path).model_dump(mode="json")


@reader("leaderboard render sanity reports", "json")
def sanity_reports(path: Path, work: Path) -> Any:
    _linked(path, work / FOLDER / "test.json")
    return sorted(read_reports(work))


@reader("quality report", "json")
def quality(path: Path, work: Path) -> Any:
    return read_quality(path).model_dump(mode="json")


@reader("dissect report", "json")
def dissection(path: Path, work: Path) -> Any:
    return load_report(Dissection, path).model_dump(mode="json")


@reader("experiment --class-names", "json")
def class_names(path: Path, work: Path) -> Any:
    return named_values(path, "names")


@reader("experiment classifier", "json")
def classifier(path: Path, work: Path) -> Any:
    _linked(path, work / "net.json")
    return list(load_classifier(work / "net.safetensors").classes)


@reader("describe model=FOLDER config.json", "json")
def milan_config(path: Path, work: Path) -> Any:
    _linked(path, work / "config.json")
    return Milan.from_pretrained(work)


@reader("describe model=FOLDER vocabulary.json", "json")
def milan_vocabulary(path: Path, work: Path) -> Any:
    return len(read_vocabulary(path))


@reader("build --sae config", "json")
def autoencoder(path: Path, work: Path) -> Any:
    return _read_config(path)


@reader("dissect coco:", "json")
def coco(path: Path, work: Path) -> Any:
    return len(CocoPanoptic(work, path, work))


@reader("dissect activations:", "json")
def activations(path: Path, work: Path) -> Any:
    _linked(path, work / "activations.json")
    return len(RecordedMaps(work))


@reader("release.json", "json")
def release_facts(path: Path, work: Path) -> Any:
    _linked(path, work / "release.json")
    facts = read_facts(work)
    return None if facts is None else facts.config


@reader("fingerprints.json", "json")
def fingerprints(path: Path, work: Path) -> Any:
    _linked(path, work / "fingerprints.json")
    with mock.patch.dict("os.environ", {HOME_VARIABLE: str(work)}):
        return known_as("0")


@reader("code-models.json", "json")
def consent(path: Path, work: Path) -> Any:
    _linked(path, work / "code-models.json")
    with mock.patch.dict("os.environ", {HOME_VARIABLE: str(work)}):
        return has_consent("hub:someone/something")


@reader("checksums.json", "json")
def checksums(path: Path, work: Path) -> Any:
    _linked(path, work / "downloads" / "checksums.json")
    with mock.patch.dict("os.environ", {HOME_VARIABLE: str(work)}):
        return sorted(read_checksums())


@reader("load build.json", "json", forgiving=True)
def record(path: Path, work: Path) -> Any:
    return read_record(_linked(path, work / "build.json"))


@reader("experiment cells", "json", forgiving=True)
def cell(path: Path, work: Path) -> Any:
    return _finished(_linked(path, work / "cell.json"))


@reader("download partial.json", "json", forgiving=True)
def partial(path: Path, work: Path) -> Any:
    _linked(path, work / "x.zip.partial.json")
    return Partial(work / "x.zip").origin


@reader("describe compexp formulas", "json", forgiving=True)
def formulas(path: Path, work: Path) -> Any:
    numbers = np.arange(2)
    counts = SimpleNamespace(indptr=numbers, indices=numbers, data=numbers)
    tally: Any = SimpleNamespace(counts=counts)
    _linked(path, ExplanationCache(work, tally, {}).path)
    return sorted(ExplanationCache(work, tally, {}).explanations)
