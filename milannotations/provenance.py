"""What a describer has learnt from, and a warning where it describes neurons of another kind.

A describer that learns sets ``trained_on`` in ``fit``, or reads it from its model's files; one that
learns nothing has none. Whoever lets a describer describe calls ``warn_of_other_kind`` before.
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
# Of the demo's exemplars the median share of flat pixels is .90 in rendered scenes and .44 in
# photographs (JPEG); the threshold lies between the two.
FLAT = 0.7
_RENDERED = ("worlds", "lessons")
_SAMPLED = 48  # exemplars of a network that are looked at


class NeuronSource(BaseModel):
    """Neurons of one network.

    Attributes:
        model: Its name.
        dataset: The data it was trained on.
        pictures: What its exemplars are.
        neurons: How many neurons.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model: str
    dataset: str
    pictures: Pictures
    neurons: int = Field(ge=0)

    def __str__(self) -> str:
        return f"{self.model}-{self.dataset}"


class TrainingData(BaseModel):
    """What a describer has learnt from.

    Attributes:
        sources: The networks whose annotated neurons it was given.
        fingerprint: Of the data set; empty where it was not at hand.
        config: The config, group or split it is known as, if it is known.
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
    """Return the networks of neurons and what their exemplars are.

    Args:
        neurons: Records.
        annotated: Whether only annotated ones count.
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
    """Return what a describer learns from the annotated ones of some neurons.

    Args:
        neurons: Records.
        whole: Whether to work out the fingerprint, for which all masks are read.
    """
    digest = fingerprint(neurons) if whole else ""
    return TrainingData(
        sources=sources_of(neurons, annotated=True),
        fingerprint=digest,
        config=known_as(digest) or "" if digest else "",
    )


def published_training_data(group: str) -> TrainingData:
    """Return what the authors' model of a group of releases has learnt from.

    Raises:
        InputError: If there is no such group.
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
    """Return a warning if neurons have exemplars of a kind that was not learnt from; else None.

    Args:
        trained: What was learnt from.
        neurons: What is to be described.
        who: The describer, as the sentence names it.
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
    """Warn if a describer's training neurons are of another kind than those it is to describe.

    Args:
        describer: Anything; nothing is said of one without ``trained_on``.
        neurons: What is to be described.
        who: Its name; default that of its class.
    """
    trained = getattr(describer, "trained_on", None)
    if isinstance(trained, TrainingData) and len(neurons):
        warning = other_kind(trained, neurons, who or type(describer).__name__)
        if warning:
            notify(warning)


def _pictures(model: str, dataset: str, neurons: Dataset, rows: list[int]) -> Pictures:
    """Return what exemplars are: by their names where these tell, else by their pixels."""
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
        # Published data sets come without images, and theirs are photographs.
        return "photographs" if f"{model}-{dataset}" in RELEASES else "unknown pictures"
    return "rendered scenes" if float(np.median(usable)) >= FLAT else "photographs"


def _named(model: str, dataset: str) -> Pictures | None:
    """Return what exemplars are if the names tell; not even an ImageNet network must see photos."""
    if dataset.startswith(_RENDERED):
        return "rendered scenes"
    return "generated images" if model.startswith("biggan") else None


def _flat(encoded: bytes) -> float | None:
    """Return the share of pixels that differ by at most 1 of 255 from their right neighbour."""
    try:
        pixels = np.asarray(read_rgb(encoded, "exemplar"), dtype=np.int16)
    except InputError:
        return None  # whoever needs the image says so
    if pixels.shape[1] < 2:
        return None
    return float((np.abs(np.diff(pixels, axis=1)).max(-1) <= 1).mean())
