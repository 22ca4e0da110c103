"""The result of scoring one method: one JSON file, validated and versioned.

The per-neuron table ``<method>.per_neuron.parquet`` lies beside ``<method>.json``; see
``benchmark.per_neuron``. The JSON holds the SHA-256 of the table, and the table's metadata hold the
content of the JSON, so neither can be changed or replaced without the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from benchmark.references import HELD_OUT, Protocol
from milannotations.errors import InputError
from milannotations.json_files import StrictModel, read_model

METHOD_NAME = r"^[a-z0-9][a-z0-9_-]{0,63}$"
VERSION: Literal[3] = 3
TABLE_HASH_VERSION = 3  # the first version in which a result holds the hash of its table
MAX_RESULT_BYTES = 5_000_000


class Score(StrictModel):
    """The value of one metric with its interval and signature.

    ``low`` and ``high`` are the ends of the 95 % percentile bootstrap interval over neurons.

    >>> Score(value=0.7, low=0.65, high=0.75, n=400, signature="bleu|refs:var").value
    0.7
    """

    value: float
    low: float
    high: float
    n: int = Field(ge=1, description="neurons scored")
    signature: str = Field(min_length=1, description="metric, version and settings")


class MetricInfo(StrictModel):
    """The title and the scale of a metric, as results and boards show them.

    >>> MetricInfo(title="Identification AUC", chance=0.5).higher_is_better
    True
    """

    title: str
    higher_is_better: bool = True
    chance: float | None = Field(default=None, description="value of any constant, if known")
    description: str = ""
    mean: bool | None = Field(
        default=None, description="whether values are means of the neurons' own, if recorded"
    )


class Method(StrictModel):
    """The method that wrote the descriptions, its authors, and its inputs.

    An empty field means that nothing was stated, for example in a result that was written before
    the field existed.

    >>> Method(name="milan", title="MILAN").kind
    'method'
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


class SplitResult(StrictModel):
    """All scores of a method on one split.

    >>> SplitResult(fingerprint="182bdea121edd803", neurons=400, scored=390).protocol
    'held-out'
    """

    fingerprint: str = Field(description="content hash of the split's neurons")
    config: str = Field(default="", description="config or config/split known to have it")
    neurons: int = Field(ge=0, description="neurons described")
    scored: int = Field(ge=0, description="neurons with the references that scoring needs")
    references: str = Field(default="", description="which references each description met")
    protocol: Protocol = Field(
        default=HELD_OUT, description="whether one reference was held out; part of signatures"
    )
    scores: dict[str, Score] = Field(default_factory=dict)


class Result(StrictModel):
    """One method's scores on all splits it was run on.

    Version 2 adds ``board``, ``submission`` and ``refused``; version 3 adds ``table`` and
    ``MetricInfo.mean``. Older files are still read; only those of their values that can be computed
    from the table are compared with it.
    """

    schema_version: Literal[1, 2, 3] = VERSION
    method: Method
    metrics: dict[str, MetricInfo]
    splits: dict[str, SplitResult]
    board: str = Field(default="", max_length=100, description="name and version of the board")
    submission: str = Field(
        default="", pattern=r"^([0-9a-f]{64})?$", description="SHA-256 of what was submitted"
    )
    table: str = Field(
        default="", pattern=r"^([0-9a-f]{64})?$", description="SHA-256 of the per-neuron table"
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

    def record(self) -> dict[str, Any]:
        """Return the content that is recorded in its table: all but the hash of the table."""
        return self.model_dump(mode="json", exclude={"table"})


def read_result(path: Path) -> Result:
    """Read and validate one result file.

    Raises:
        InputError: Names the file and every field that is wrong.
    """
    result = read_model(path, Result, whole="result", limit=MAX_RESULT_BYTES)
    if result.schema_version >= TABLE_HASH_VERSION and not result.table:
        raise InputError(
            f"{path}: version {result.schema_version} of results has the SHA-256 of the per-neuron "
            "table in `table`, and this has none; score the method again"
        )
    return result


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the path and the value of every leaf of a JSON value; empty containers are leaves.

    >>> list(leaves({"a": {"b": 1, "c": [2, 3]}, "d": {}}))
    [('a.b', 1), ('a.c.0', 2), ('a.c.1', 3), ('d', {})]
    """
    if isinstance(value, dict) and value:
        children = [(str(key), child) for key, child in value.items()]
    elif isinstance(value, list) and value:
        children = [(str(at), child) for at, child in enumerate(value)]
    else:
        yield path, value
        return
    for key, child in children:
        yield from leaves(child, f"{path}.{key}" if path else key)
