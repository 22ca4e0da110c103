"""What a describer has learnt from, and a warning if it describes neurons of another kind.

A describer that learns sets ``trained_on`` in ``fit``, or reads it from its model's files; one that
learns nothing lacks the attribute. Callers of a describer call ``warn_of_other_kind`` first.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal

import numpy as np
from datasets import Dataset
from pydantic import BaseModel, ConfigDict, Field

from milannotations.catalog.releases import RELEASES, members
from milannotations.errors import InputError
from milannotations.fingerprints import fingerprint, known_as
from milannotations.notices import notify
from milannotations.pictures import read_rgb
from milannotations.record import encoded_records

Pictures = Literal["photographs", "generated images", "rendered scenes", "unknown pictures"]
# In the demo's exemplars the median share of flat pixels is .90 for rendered scenes and .44 for
# photographs (JPEG); the threshold lies between the two.
FLAT = 0.7
_RENDERED = ("worlds", "lessons")
_SAMPLED = 48  # exemplars of a network whose pixels are examined


class NeuronSource(BaseModel):
    """Neurons of one network.

    Attributes:
        model: Name of the network.
        dataset: The data that it was trained on.
        pictures: The kind of its exemplars.
        neurons: Number of neurons.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model: str
    dataset: str
    pictures: Pictures
    neurons: int = Field(ge=0)

    def __str__(self) -> str:
        return f"{self.model}-{self.dataset}"


class TrainingData(BaseModel):
    """The data from which a describer has learnt.

    Attributes:
        sources: The networks whose annotated neurons it was given.
        fingerprint: Fingerprint of the data set; empty if the data set was not at hand.
        config: The config, group or split that has this fingerprint; empty if none is known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sources: tuple[NeuronSource, ...] = ()
    fingerprint: str = ""
    config: str = ""

    @property
    def pictures(self) -> tuple[Pictures, ...]:
        """The kinds of exemplars among the sources."""
        return tuple(sorted({source.pictures for source in self.sources}))

    def __str__(self) -> str:
        networks = ", ".join(f"{s} ({s.neurons} neurons, {s.pictures})" for s in self.sources)
        prefix = f"{self.config}: " if self.config else ""
        return f"{prefix}{networks}" + (
            f"; fingerprint {self.fingerprint}" if self.fingerprint else ""
        )


def sources_of(neurons: Dataset, annotated: bool = False) -> tuple[NeuronSource, ...]:
    """Return the networks of neurons and the kinds of their exemplars.

    Args:
        neurons: Records.
        annotated: Whether to count only annotated neurons.
    """
    rows: dict[tuple[str, str], list[int]] = {}
    texts = neurons["annotations"] if annotated else None
    pairs = zip(neurons["model"], neurons["dataset"], strict=True)
    for row, (model, dataset) in enumerate(pairs):
        if texts is None or any(text.strip() for text in texts[row]):
            rows.setdefault((str(model), str(dataset)), []).append(row)
    return tuple(
        NeuronSource(model=m, dataset=d, pictures=_pictures(m, d, neurons, at), neurons=len(at))
        for (m, d), at in rows.items()
    )


def training_data(neurons: Dataset, whole: bool = False) -> TrainingData:
    """Return the training data that the annotated neurons in a data set make up.

    Args:
        neurons: Records.
        whole: Whether to compute the fingerprint, which reads all masks.
    """
    digest = fingerprint(neurons) if whole else ""
    return TrainingData(
        sources=sources_of(neurons, annotated=True),
        fingerprint=digest,
        config=known_as(digest) or "" if digest else "",
    )


def published_training_data(group: str) -> TrainingData:
    """Return the training data of the authors' model for a group of releases.

    Raises:
        InputError: If the group is unknown.
    """
    sources = (
        NeuronSource(
            model=release.model,
            dataset=release.dataset,
            pictures=_named(release.model, release.dataset) or "photographs",
            neurons=release.units,
        )
        for release in (RELEASES[name] for name in members(group))
    )
    return TrainingData(sources=tuple(sources), config=group)


def other_kind(trained: TrainingData, neurons: Dataset, who: str) -> str | None:
    """Return a warning if exemplars are of a kind that is not in the training data, else None.

    Args:
        trained: The training data.
        neurons: The neurons to describe.
        who: The describer's name in the sentence.
    """
    kinds = [kind for kind in trained.pictures if kind != "unknown pictures"]
    other: Counter[str] = Counter()
    networks = []
    for source in sources_of(neurons):
        if source.pictures not in (*kinds, "unknown pictures"):
            other[source.pictures] += source.neurons
            networks.append(str(source))
    if not kinds or not other:
        return None
    learnt = ", ".join(str(source) for source in trained.sources[:3])
    more = f" and {len(trained.sources) - 3} more" if len(trained.sources) > 3 else ""
    return (
        f"{who} has learnt from {' and '.join(kinds)} ({learnt}{more}), but the exemplars of "
        f"{sum(other.values())} of the {len(neurons)} neurons look like {' and '.join(other)} "
        f"({', '.join(networks[:3])}): its words may not apply to them"
    )


def warn_of_other_kind(describer: object, neurons: Dataset, who: str = "") -> None:
    """Warn if a describer was trained on neurons of another kind than those it is to describe.

    Args:
        describer: Any describer; there is no warning for one without ``trained_on``.
        neurons: The neurons to describe.
        who: The describer's name; default the name of its class.
    """
    trained = getattr(describer, "trained_on", None)
    if isinstance(trained, TrainingData) and len(neurons):
        warning = other_kind(trained, neurons, who or type(describer).__name__)
        if warning:
            notify(warning)


def _pictures(model: str, dataset: str, neurons: Dataset, rows: list[int]) -> Pictures:
    """Return the kind of exemplars, judged by the network's names or else by their pixels."""
    named = _named(model, dataset)
    if named is not None:
        return named
    step = -(-len(rows) // _SAMPLED)
    shares = []
    for record in encoded_records(neurons.select(rows[::step]), ["images"]):
        encoded = record["images"][0]["bytes"] if record["images"] else None
        if encoded is not None:
            shares.append(_flat(encoded))
    usable = [share for share in shares if share is not None]
    if not usable:
        # Published data sets come without images; their exemplars are photographs.
        return "photographs" if f"{model}-{dataset}" in RELEASES else "unknown pictures"
    return "rendered scenes" if float(np.median(usable)) >= FLAT else "photographs"


def _named(model: str, dataset: str) -> Pictures | None:
    """Return the kind of exemplars if the names tell; else None.

    An ImageNet network is not enough: its exemplars need not be photographs.
    """
    if dataset.startswith(_RENDERED):
        return "rendered scenes"
    return "generated images" if model.startswith("biggan") else None


def _flat(encoded: bytes) -> float | None:
    """Return the share of pixels that differ by at most 1/255 from their right neighbour."""
    try:
        pixels = np.asarray(read_rgb(encoded, "exemplar"), dtype=np.int16)
    except InputError:
        return None  # the code that needs the image reports the error
    if pixels.shape[1] < 2:
        return None
    return float((np.abs(np.diff(pixels, axis=1)).max(-1) <= 1).mean())
