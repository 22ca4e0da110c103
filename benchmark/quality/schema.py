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

EXAMPLES = 5  # of each finding
COVERAGE_BINS = 20
MAX_QUALITY_BYTES = 50_000_000


# A key that is a JSON object, not a list.
JsonKey = Annotated[NeuronKey, PlainSerializer(NeuronKey._asdict)]


class AnnotationExample(StrictModel):
    """An annotation as it was written, with unprintable characters blanked, and shortened."""

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
    """How much there is.

    Attributes:
        neurons: Records.
        annotations: Annotations of all neurons, junk included.
        per_neuron: Number of annotations: how many neurons have as many.
        repeated_keys: Records whose key an earlier record has.
    """

    neurons: int
    annotations: int
    per_neuron: dict[int, int]
    repeated_keys: int = 0


class FrequentAnnotation(StrictModel):
    """A normalized annotation and how often it occurs."""

    text: str
    count: int


class JunkAnnotations(StrictModel):
    """Annotations of one kind that say nothing; see ``texts.KINDS``."""

    count: int
    examples: list[AnnotationExample]


class TextMeasures(StrictModel):
    """What the annotations are like; those that are empty are only counted as junk.

    Attributes:
        words: Words in all annotations; see ``benchmark.tokenization.compound_words``.
        vocabulary: Distinct words.
        once: Words of the vocabulary that occur in a single annotation.
        lengths: Number of words: how many annotations have as many.
        mean, median, p95, longest: Of the number of words; None without annotations.
        distinct: Distinct annotations, normalized.
        repeating_neurons: Neurons that have one normalized annotation twice.
        shared: Annotations that, normalized, another neuron of the same part has too.
        frequent: The most frequent normalized annotations.
        junk: By kind.
        growth: Pairs (annotations, words): the vocabulary to expect in so many annotations.
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
    """Something found in exemplars: how often, in how many neurons, and in which for example."""

    count: int = 0
    neurons: int = 0
    examples: list[JsonKey] = Field(default_factory=list)


class ExemplarMeasures(StrictModel):
    """What the exemplars are like; images and masks that cannot be read are counted as such.

    Attributes:
        neurons: Neurons with exemplars, that is with images, masks, image ids or activations.
        per_neuron: Number of exemplars: how many of these neurons have as many.
        images: Images.
        masks: Masks.
        sizes: ``width × height`` in pixels of images, or of masks where there are no images:
            how many have it. The most frequent only.
        other_sizes: How many have another size.
        covered: Mean share of the image that a mask covers, 0 to 1; None without masks.
        coverage: Masks by that share, in ``COVERAGE_BINS`` equal bins from 0 to 1.
        pairs: Pairs of exemplars of one neuron that were compared.
        findings: By name; see ``exemplars.FINDINGS``.
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
        own: Of the same neuron: how far people agree.
        other: Of another neuron of the same layer: how much of that is chance.
    """

    own: Score
    other: Score


class ScopeMeasures(StrictModel):
    """The measures of all neurons, of one network, or of one layer.

    Attributes:
        model, dataset: The network; None where the part is all neurons.
        layer: The layer; None where the part is a network or all neurons.
        exemplars: None where no neuron has any.
        agreement: By metric; empty where fewer than two neurons can be compared.
    """

    model: str | None = None
    dataset: str | None = None
    layer: str | None = None
    counts: Counts
    text: TextMeasures
    exemplars: ExemplarMeasures | None = None
    agreement: dict[str, Agreement] = Field(default_factory=dict)

    @property
    def scope(self) -> Literal["all", "network", "layer"]:
        """What the part is a part of."""
        if self.layer is not None:
            return "layer"
        return "all" if self.model is None else "network"


class Quality(StrictModel):
    """A data-quality report.

    Attributes:
        name: What the dataset is called; may be empty.
        fingerprint: Of its content; see ``milannotations.fingerprints``. None if there are images
            or masks that cannot be read.
        parts: All neurons, then every network, then every layer.
        metrics: What a reader must know of the metrics of agreement.
        encoder: As the user named it; None if agreement was measured without one.
        resamples: Of the bootstrap over neurons.
        seed: Of the bootstrap, and of dealing annotations out.
        versions: Of the libraries that the numbers depend on.
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
        """The part that is all neurons."""
        return self.parts[0]

    @property
    def networks(self) -> list[ScopeMeasures]:
        """The networks."""
        return [part for part in self.parts if part.scope == "network"]

    @property
    def layers(self) -> list[ScopeMeasures]:
        """The layers of all networks."""
        return [part for part in self.parts if part.scope == "layer"]

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
