"""The quality report as data: one JSON file, validated and versioned."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PlainSerializer

from benchmark.result import MetricInfo, Score
from milannotations.json_files import StrictModel, read_model
from milannotations.record import NeuronKey
from milannotations.storage import atomic_path

EXAMPLES = 5  # examples per finding
COVERAGE_BINS = 20
MAX_QUALITY_BYTES = 50_000_000


# A key that is written as a JSON object instead of a list.
JsonKey = Annotated[NeuronKey, PlainSerializer(NeuronKey._asdict)]


class AnnotationExample(StrictModel):
    """An annotation as it was written, shortened, with spaces for unprintable characters."""

    model: str
    dataset: str
    layer: str
    unit: int
    text: str

    @property
    def key(self) -> NeuronKey:
        """The neuron's key."""
        return NeuronKey(self.model, self.dataset, self.layer, self.unit)


class Counts(StrictModel):
    """Numbers of neurons and annotations.

    Attributes:
        neurons: Number of records.
        annotations: Number of annotations of all neurons, including junk.
        per_neuron: Number of neurons by their number of annotations.
        repeated_keys: Number of records with the key of an earlier record.

    >>> Counts(neurons=2, annotations=5, per_neuron={2: 1, 3: 1}).repeated_keys
    0
    """

    neurons: int
    annotations: int
    per_neuron: dict[int, int]
    repeated_keys: int = 0


class FrequentAnnotation(StrictModel):
    """A normalized annotation and its number of occurrences."""

    text: str
    count: int


class JunkAnnotations(StrictModel):
    """Annotations of one kind that say nothing; see ``text_measures.KINDS``."""

    count: int
    examples: list[AnnotationExample]


class TextMeasures(StrictModel):
    """Measures of the annotations; empty annotations are only counted as junk.

    Attributes:
        words: Number of words in all annotations; see ``benchmark.tokenization.compound_words``.
        vocabulary: Number of distinct words.
        once: Number of words that occur in a single annotation.
        lengths: Number of annotations by their number of words.
        mean, median, p95, longest: Statistics of the number of words; None without annotations.
        distinct: Number of distinct annotations after normalization.
        repeating_neurons: Number of neurons that have the same normalized annotation twice.
        shared: Number of annotations that another neuron of the same scope has too, normalized.
        frequent: The most frequent normalized annotations.
        junk: Annotations that say nothing, by kind.
        growth: Pairs (annotations, words): the expected vocabulary in that number of annotations.
    """

    words: int
    vocabulary: int
    once: int
    lengths: dict[int, int]
    mean: float | None
    median: float | None
    p95: float | None
    longest: int | None
    distinct: int
    repeating_neurons: int
    shared: int
    frequent: list[FrequentAnnotation]
    junk: dict[str, JunkAnnotations]
    growth: list[tuple[int, float]]


class Finding(StrictModel):
    """A finding in exemplars: its number of occurrences and of neurons, and example neurons."""

    count: int = 0
    neurons: int = 0
    examples: list[JsonKey] = Field(default_factory=list)


class ExemplarMeasures(StrictModel):
    """Measures of the exemplars.

    Attributes:
        neurons: Number of neurons with exemplars: with images, masks, image ids or activations.
        per_neuron: Number of these neurons by their number of exemplars.
        images: Number of readable images.
        masks: Number of readable masks.
        sizes: Number of images, or of masks if there are no images, by ``width × height`` in
            pixels; only the most frequent sizes.
        other_sizes: Number of images or masks with another size.
        covered: Mean share of the image that a mask covers, 0 to 1; None without masks.
        coverage: Number of masks by that share, in ``COVERAGE_BINS`` equal bins from 0 to 1.
        pairs: Number of pairs of exemplars of one neuron that were compared.
        findings: Findings by name; see ``exemplar_measures.FINDINGS``.
    """

    neurons: int
    per_neuron: dict[int, int]
    images: int
    masks: int
    sizes: dict[str, int]
    other_sizes: int
    covered: float | None
    coverage: list[int]
    pairs: int
    findings: dict[str, Finding]


class Agreement(StrictModel):
    """One metric of held-out annotations against the other annotations of a neuron.

    Attributes:
        own: Score against the same neuron: how far people agree.
        other: Score against another neuron of the same layer: how far they agree by chance.
    """

    own: Score
    other: Score


class ScopeMeasures(StrictModel):
    """The measures of all neurons, of one network, or of one layer.

    Attributes:
        model, dataset: The network; None if the scope is all neurons.
        layer: The layer; None if the scope is a network or all neurons.
        counts: Numbers of neurons and annotations.
        text: Measures of the annotations.
        exemplars: Measures of the exemplars; None if no neuron has any.
        agreement: Agreement by metric; empty if fewer than two neurons can be compared.
    """

    model: str | None = None
    dataset: str | None = None
    layer: str | None = None
    counts: Counts
    text: TextMeasures
    exemplars: ExemplarMeasures | None = None
    agreement: dict[str, Agreement] = Field(default_factory=dict)

    @property
    def level(self) -> Literal["all", "network", "layer"]:
        """Whether the scope is all neurons, one network, or one layer."""
        if self.layer is not None:
            return "layer"
        return "all" if self.model is None else "network"


class Quality(StrictModel):
    """A data-quality report.

    Attributes:
        name: Name of the dataset; may be empty.
        fingerprint: Fingerprint of its content (``milannotations.fingerprints``); None if an image
            or a mask cannot be read.
        parts: Measures of all neurons, then of every network, then of every layer.
        metrics: Titles and scales of the metrics of agreement.
        encoder: Encoder as named by the user; None if agreement was measured without one.
        resamples: Resamples of the bootstrap over neurons.
        seed: Seed of the bootstrap, and of assigning annotations to other neurons.
        versions: Versions of the libraries that the numbers depend on.
    """

    schema_version: Literal[1] = 1
    name: str = ""
    fingerprint: str | None
    parts: list[ScopeMeasures] = Field(min_length=1)
    metrics: dict[str, MetricInfo] = Field(default_factory=dict)
    encoder: str | None = None
    resamples: int
    seed: int
    versions: dict[str, str] = Field(default_factory=dict)

    @property
    def total(self) -> ScopeMeasures:
        """The measures of all neurons."""
        return self.parts[0]

    @property
    def networks(self) -> list[ScopeMeasures]:
        """The measures of every network."""
        return [scope for scope in self.parts if scope.level == "network"]

    @property
    def layers(self) -> list[ScopeMeasures]:
        """The measures of every layer of every network."""
        return [scope for scope in self.parts if scope.level == "layer"]

    def save(self, path: Path) -> Path:
        """Write the report as JSON, atomically, and return the path."""
        with atomic_path(path) as temporary:
            temporary.write_text(self.model_dump_json(indent=1) + os.linesep, encoding="utf-8")
        return path


def read_quality(path: Path) -> Quality:
    """Read and validate a report that ``Quality.save`` wrote.

    Raises:
        InputError: Names the file and every field that is wrong.
    """
    return read_model(path, Quality, whole="report", limit=MAX_QUALITY_BYTES)
