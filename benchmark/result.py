"""The result of scoring one method: one JSON file, validated, versioned, and complete.

Next to ``<method>.json`` lies ``<method>.per_neuron.parquet``: one row per neuron with the
columns split, model, dataset, layer, unit, description, and one column per metric with that
neuron's own value (null where the split has no references).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from benchmark.references import HELD_OUT, Protocol
from milannotations.errors import InputError
from milannotations.storage import atomic_path

METHOD_NAME = r"^[a-z0-9][a-z0-9_-]{0,63}$"
PER_NEURON_COLUMNS = ("split", "model", "dataset", "layer", "unit", "description")
MAX_RESULT_BYTES = 5_000_000


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Score(_Model):
    """One number with all that is needed to trust it.

    ``low`` and ``high`` bound the 95 % percentile bootstrap interval over neurons.
    """

    value: float
    low: float
    high: float
    n: int = Field(ge=1, description="neurons scored")
    signature: str = Field(min_length=1, description="metric, version and settings")


class Metric(_Model):
    """What a reader must know to read a column."""

    title: str
    higher_is_better: bool = True
    chance: float | None = Field(default=None, description="value of any constant, if known")
    description: str = ""


class Method(_Model):
    """Who made the descriptions, and what the method was given.

    What is empty was not stated, as in results that were written before there was such a field.
    """

    name: str = Field(pattern=METHOD_NAME)
    title: str = Field(min_length=1, max_length=200)
    kind: Literal["method", "control", "human"] = "method"
    authors: str = Field(default="", max_length=500)
    url: str = Field(default="", max_length=500, pattern=r"^(https?://\S+)?$")
    paper: str = Field(default="", max_length=500)
    training_data: list[str] = Field(default_factory=list, description="config names")
    annotations_seen: str = Field(default="none", max_length=500)
    images: str = Field(default="", max_length=500, description="images it looked at")
    labels: str = Field(default="", max_length=500, description="labels of those images")
    vocabulary: str = Field(default="", max_length=500, description="words it chose from")
    parameters: int | None = Field(default=None, ge=0)
    licence: str = Field(default="", max_length=100)
    seed: int | None = None


class SplitResult(_Model):
    """All scores of a method on one split."""

    fingerprint: str = Field(description="content hash of the split's neurons")
    config: str = Field(default="", description="config or config/split known to have it")
    neurons: int = Field(ge=0, description="neurons described")
    scored: int = Field(ge=0, description="neurons with the references that scoring needs")
    references: str = Field(default="", description="which references each description met")
    protocol: Protocol = Field(
        default=HELD_OUT, description="whether one reference was held out; part of signatures"
    )
    scores: dict[str, Score] = Field(default_factory=dict)


class Result(_Model):
    """One method's scores on all splits it was run on.

    Version 2 adds ``board``, ``submission`` and ``refused``; files of version 1 are still read.
    """

    schema_version: Literal[1, 2] = 2
    method: Method
    metrics: dict[str, Metric]
    splits: dict[str, SplitResult]
    board: str = Field(default="", max_length=100, description="name and version of the board")
    submission: str = Field(
        default="", pattern=r"^([0-9a-f]{64})?$", description="SHA-256 of what was submitted"
    )
    refused: dict[str, str] = Field(
        default_factory=dict, description="why a split was not scored, by split"
    )
    resamples: int = Field(default=0, ge=0, description="of the bootstrap; 0 if not recorded")
    versions: dict[str, str] = Field(default_factory=dict)
    hardware: str = ""
    seed: int = 0
    wall_time_s: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _metrics_are_declared(self) -> Result:
        for split, result in self.splits.items():
            unknown = sorted(set(result.scores) - set(self.metrics))
            if unknown:
                raise ValueError(f"split {split!r} has scores of undeclared metrics {unknown}")
        both = sorted(set(self.refused) & set(self.splits))
        if both:
            raise ValueError(f"the splits {both} are both scored and refused")
        return self

    def save(self, folder: Path, per_neuron: pd.DataFrame) -> Path:
        """Write ``<name>.json`` and ``<name>.per_neuron.parquet`` and return the first's path.

        The table is written before the JSON, each atomically, so that a JSON file always has
        its table.
        """
        lacking = [c for c in PER_NEURON_COLUMNS if c not in per_neuron.columns]
        if lacking:
            raise ValueError(f"per-neuron table lacks columns {lacking}")
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(folder / f"{self.method.name}.per_neuron.parquet") as path:
            per_neuron.to_parquet(path, index=False)
        target = folder / f"{self.method.name}.json"
        with atomic_path(target) as path:
            path.write_text(self.model_dump_json(indent=2) + os.linesep, encoding="utf-8")
        return target


def read_result(path: Path) -> Result:
    """Read and validate one result file.

    Raises:
        InputError: Names the file and every field that is wrong.
    """
    if path.stat().st_size > MAX_RESULT_BYTES:
        raise InputError(f"{path}: {path.stat().st_size} bytes; a result has at most 5 MB")
    try:
        return Result.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text: {error}") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: not JSON: {error}") from error
    except ValidationError as error:
        raise InputError(f"{path}: {wrong_fields(error, 'result')}") from error


def wrong_fields(error: ValidationError, whole: str) -> str:
    """Return every field that is wrong and why; ``whole`` names what is wrong as a whole."""
    return "; ".join(
        f"{'.'.join(str(part) for part in one['loc']) or whole}: {one['msg']}"
        for one in error.errors()
    )


def read_per_neuron(result_path: Path) -> pd.DataFrame:
    """Read the per-neuron table that belongs to a result file.

    Raises:
        InputError: If it is missing or lacks a column.
    """
    path = result_path.with_suffix(".per_neuron.parquet")
    if not path.is_file():
        raise InputError(f"{path} is missing; score the method again to write it")
    table = pd.read_parquet(path)
    lacking = [c for c in PER_NEURON_COLUMNS if c not in table.columns]
    if lacking:
        raise InputError(f"{path} lacks the columns {lacking}")
    return table
