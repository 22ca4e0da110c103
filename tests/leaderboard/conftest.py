"""Small results and neurons, made up on the spot."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from datasets import Dataset
from PIL import Image as PILImage

from benchmark.result import Method, MetricInfo, Result, Score, SplitResult
from benchmark.result_files import save_result_files
from milannotations.record import FEATURES, encode_image, encode_mask

SIZE = 32
METRICS = {
    "identification": MetricInfo(title="Identification", chance=0.5, description="AUC of names."),
    "bleu": MetricInfo(title="BLEU"),
    "loss": MetricInfo(title="Loss", higher_is_better=False),
}

MakeNeurons = Callable[..., Dataset]
SaveResult = Callable[..., Path]


def make_neurons(
    layers: Sequence[str] = ("conv1", "conv2"),
    units: int = 4,
    k: int = 9,
    references: Sequence[str] = ("a red circle", "round things", "discs"),
    images: bool = True,
    model: str = "net",
) -> Dataset:
    """Make ``len(layers) * units`` neurons with noise for exemplars."""
    generator = np.random.default_rng(0)
    rows = []
    for layer in layers:
        for unit in range(units):
            pixels = generator.integers(0, 256, (k, SIZE, SIZE, 3), dtype=np.uint8)
            masks = np.zeros((k, SIZE, SIZE), dtype=bool)
            masks[:, : SIZE // 2] = True
            encoded = [encode_image(PILImage.fromarray(p), "png") for p in pixels]
            rows.append(
                {
                    "model": model,
                    "dataset": "shapes",
                    "layer": layer,
                    "unit": unit,
                    "images": [{"bytes": b, "path": None} for b in encoded] if images else [],
                    "masks": [{"bytes": encode_mask(m), "path": None} for m in masks],
                    "activations": [float(k - i) for i in range(k)],
                    "image_ids": list(range(k)),
                    "threshold": 0.5,
                    "annotations": list(references),
                }
            )
    return Dataset.from_list(rows, features=FEATURES)


def make_score(value: float, signature: str = "v1", n: int = 8) -> Score:
    return Score(value=value, low=value - 0.05, high=value + 0.05, n=n, signature=signature)


def save_result(
    folder: Path,
    name: str,
    scores: Mapping[str, float | Score] | None = None,
    *,
    split: str = "test",
    fingerprint: str = "f00d",
    neurons: Dataset | None = None,
    description: str | None = None,
    metrics: Mapping[str, MetricInfo] = METRICS,
    unscored: Mapping[str, Dataset] | None = None,
    **method: Any,
) -> Path:
    """Save a result with one scored split, and splits that are only described, if given."""
    described = {split: neurons if neurons is not None else make_neurons(), **(unscored or {})}
    count = len(described[split])
    full = {
        m: s if isinstance(s, Score) else make_score(s, n=count) for m, s in (scores or {}).items()
    }
    result = Result(
        method=Method(**{"name": name, "title": name.title(), **method}),
        metrics=dict(metrics),
        splits={
            one: SplitResult(
                fingerprint=fingerprint,
                neurons=len(data),
                scored=len(data) if one == split and full else 0,
                scores=full if one == split else {},
            )
            for one, data in described.items()
        },
    )
    rows = [
        {
            "split": one,
            **{column: record[column] for column in ("model", "dataset", "layer", "unit")},
            "description": f"{name} says {record['layer']}" if description is None else description,
            **{m: s.value if one == split else None for m, s in full.items()},
        }
        for one, data in described.items()
        for record in data.select_columns(["model", "dataset", "layer", "unit"])
    ]
    return save_result_files(result, folder, pd.DataFrame(rows))


def save_anew(
    path: Path,
    *,
    result: Callable[[dict[str, Any]], object] = lambda _: None,
    table: Callable[[pd.DataFrame], pd.DataFrame | None] = lambda _: None,
) -> Path:
    """Change a result, its table, or both, and write them as a pair, whatever they say."""
    plain = json.loads(path.read_text())
    rows = pd.read_parquet(path.with_suffix(".per_neuron.parquet"))
    result(plain)
    changed = table(rows)
    return save_result_files(Result(**plain), path.parent, rows if changed is None else changed)


@pytest.fixture(scope="session")
def neurons() -> Dataset:
    """Eight annotated neurons in two layers."""
    return make_neurons()


@pytest.fixture(scope="session")
def network() -> Dataset:
    """Six neurons that nobody has annotated."""
    return make_neurons(("blocks.1", "blocks.2", "head"), 2, references=(), model="real")


@pytest.fixture(name="make_neurons")
def make_neurons_fixture() -> MakeNeurons:
    return make_neurons


@pytest.fixture(name="save_result")
def save_result_fixture() -> SaveResult:
    return save_result


@pytest.fixture(name="make_score")
def make_score_fixture() -> Callable[..., Score]:
    return make_score


@pytest.fixture
def results(tmp_path: Path, neurons: Dataset, network: Dataset) -> Path:
    """Three methods, a control and people, on a scored and an unscored split."""
    folder = tmp_path / "results"
    both = {"neurons": neurons, "unscored": {"network": network}}
    save_result(folder, "alpha", {"identification": 0.8, "bleu": 0.1}, authors="Ada", **both)
    save_result(folder, "beta", {"identification": 0.9, "bleu": 0.2}, **both)
    save_result(folder, "gamma", {"identification": 0.7, "bleu": 0.3, "loss": 2.0}, **both)
    save_result(folder, "random", {"identification": 0.5, "bleu": 0.05}, kind="control", **both)
    save_result(folder, "people", {"identification": 0.95}, kind="human", neurons=neurons)
    return folder
