"""The synthetic neurons, and what each of them responds to."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from milannotations.defaults import DEFAULT_K
from milannotations.errors import InputError
from milannotations.seeds import stable_seed
from milannotations.worlds.concepts import (
    And,
    AndNot,
    Anything,
    Attribute,
    Concept,
    Dead,
    OfObjects,
    Or,
    Polysemantic,
)
from milannotations.worlds.grammar import references
from milannotations.worlds.scenes import COLOURS, SHAPES, SIZES, TEXTURES, arrange
from milannotations.worlds.spatial import PARTS, Part, Relation

LAYERS = {"coarse": 7, "middle": 14, "fine": 28}  # side of each layer's activation maps
SPLITS = ("train", "validation", "test")
# Neurons of each kind in train, validation and test. Single concepts and dead neurons are for
# training only, as they are not combinations that could be new.
COUNTS = {
    "single": (38, 0, 0),
    "dead": (4, 0, 0),
    "and": (42, 10, 26),
    "or": (18, 6, 12),
    "and-not": (18, 6, 12),
    "part": (18, 5, 12),
    "relation": (18, 4, 11),
    "polysemantic": (16, 5, 12),
}
# A combination is used if it occurs in _NEEDED of the sampled scenes: then another 256 scenes
# practically always hold the exemplars that a neuron needs.
_LOOKED_AT = 256
_NEEDED = DEFAULT_K + 10
_NEEDED_LEAST = DEFAULT_K + 5


@dataclass(frozen=True)
class SyntheticNeuron:
    """A neuron whose concept is known.

    Attributes:
        layer: One of ``LAYERS``.
        unit: Its number in the layer, counted over all splits.
        split: One of ``SPLITS``.
        kind: A key of ``COUNTS``, or a kind of the lessons.
        concept: What it responds to.
        references: Three ground-truth descriptions.
        noise: How much its maps are degraded, from 0 (not at all) to 1.
    """

    layer: str
    unit: int
    split: str
    kind: str
    concept: Concept
    references: tuple[str, str, str]
    noise: float


def synthetic_neurons(seed: int = 0) -> list[SyntheticNeuron]:
    """Return all synthetic neurons, in the order of their layers and units.

    A concept combination (its ``key``) occurs in only one split, so that validation and test hold
    combinations never seen in training, while the attributes, parts and relations in them all
    occur in training. Single concepts and dead neurons are in training only: they are not
    combinations that could be new, and would test only memory.

    Raises:
        InputError: If the seed is below 0, or its scenes hold too few different combinations.
    """
    if seed < 0:
        raise InputError(f"seed {seed} of synthetic neurons; it must be at least 0")
    rng = np.random.default_rng(seed)
    occurrences = _occurrences(seed)
    chosen: list[tuple[str, str, Concept]] = []
    for kind, counts in COUNTS.items():
        repeats = kind in ("single", "dead")
        pool = _pool(kind, rng, occurrences, 1 if repeats else sum(counts))
        repeated = itertools.cycle(pool) if repeats else iter(pool)
        for split, count in zip(SPLITS, counts, strict=True):
            chosen += [(split, kind, next(repeated)) for _ in range(count)]
    names = list(LAYERS)
    units = dict.fromkeys(names, 0)
    neurons = []
    for number, (split, kind, concept) in enumerate(chosen):
        # Single concepts occur twice: the shift puts the second neuron into another layer.
        layer = names[(number + number // 19) % len(names)]
        neurons.append(
            SyntheticNeuron(
                layer=layer,
                unit=units[layer],
                split=split,
                kind=kind,
                concept=concept,
                references=references(concept, rng),
                noise=float(rng.uniform(0.2, 1.0)),
            )
        )
        units[layer] += 1
    return sorted(neurons, key=lambda neuron: (names.index(neuron.layer), neuron.unit))


def _pool(
    kind: str, rng: np.random.Generator, occurrences: Callable[[Concept], int], wanted: int
) -> list[Concept]:
    """Return different concepts of a kind in random order; the early ones use every part."""
    counted: dict[str, tuple[Concept, int]] = {}
    for concept in _candidates(kind, rng):
        if concept.key not in counted:
            counted[concept.key] = (concept, occurrences(concept))
    pool = [concept for concept, count in counted.values() if count >= _NEEDED]
    if len(pool) < wanted:
        # A few seeds need slightly rarer concepts, the most frequent of them first.
        rarer = [pair for pair in counted.values() if _NEEDED_LEAST <= pair[1] < _NEEDED]
        rarer.sort(key=lambda pair: -pair[1])
        pool += [concept for concept, _ in rarer[: wanted - len(pool)]]
    if len(pool) < wanted:
        raise InputError(
            f"{len(pool)} different {kind} concepts occur often enough, {wanted} are needed; "
            "choose another seed"
        )
    return pool


def _candidates(kind: str, rng: np.random.Generator) -> Iterable[Concept]:
    shapes = [Attribute("shape", v) for v in SHAPES]
    colours = [Attribute("colour", v) for v in COLOURS]
    textures = [Attribute("texture", v) for v in TEXTURES if v != "solid"]
    sizes = [Attribute("size", v) for v in SIZES]
    if kind == "dead":
        return [Dead()]
    if kind == "single":
        return [*shapes, *colours, *textures, *sizes]
    if kind == "and":
        pairs = [*itertools.product(shapes, [*colours, *textures, *sizes])]
        pairs += itertools.product(colours, [*textures, *sizes])
        return _shuffled((And(a, b) for a, b in pairs), rng)
    if kind == "or":
        pairs = [*itertools.combinations(shapes, 2), *itertools.combinations(colours, 2)]
        pairs += itertools.product(shapes, textures)
        return _shuffled((Or(a, b) for a, b in pairs), rng)
    if kind == "and-not":
        # No sizes: as there are only two, "not small" would mean "large".
        pairs = [*itertools.product(shapes, [*colours, *textures])]
        pairs += itertools.product(colours, shapes)
        return _shuffled((AndNot(a, b) for a, b in pairs), rng)
    if kind == "part":
        return _parts(shapes, rng)
    if kind == "relation":
        return _relations(shapes, colours, rng)
    assert kind == "polysemantic", kind
    # Unrelated halves: of different kinds, and never a pair that OR could form too.
    pairs = [*itertools.product(shapes, colours), *itertools.product(textures, colours)]
    return _shuffled((Polysemantic(a, b) for a, b in pairs), rng)


def _parts(shapes: list[Attribute], rng: np.random.Generator) -> list[Concept]:
    # Each of these diagonals holds each part once, except the one with the centre of a ring, so
    # the three that training takes hold every part at least twice.
    shifts = rng.permutation(len(shapes))
    return [
        Part(side, shapes[(i + int(shift)) % len(shapes)])
        for shift in shifts
        for i, side in enumerate(PARTS)
        # The centre of a ring is its hole, which is not part of it.
        if (side, shapes[(i + int(shift)) % len(shapes)].value) != ("centre", "ring")
    ]


def _relations(
    shapes: list[Attribute], colours: list[Attribute], rng: np.random.Generator
) -> list[Concept]:
    anything = Anything()
    pairs = list(itertools.permutations(shapes, 2))
    sides: list[Concept] = [Relation("above", a, b) for a, b in pairs]
    sides += [Relation("left of", a, b) for a, b in pairs]
    inner: list[Concept] = [Relation("inside", a, anything) for a in [*shapes, *colours]]
    inner += [Relation("inside", anything, b) for b in shapes]
    # Two of every three are sides, so that training sees all relations whatever the order.
    mixed = zip(
        *[iter(_shuffled(sides, rng))] * 2, itertools.cycle(_shuffled(inner, rng)), strict=False
    )
    return [concept for group in mixed for concept in group]


def _shuffled(concepts: Iterable[Concept], rng: np.random.Generator) -> list[Concept]:
    shuffled = list(concepts)
    return [shuffled[i] for i in rng.permutation(len(shuffled))]


def _occurrences(seed: int) -> Callable[[Concept], int]:
    """Return a function that counts the scenes in which a concept occurs.

    The scenes are arranged but not rendered.
    """
    scenes = [arrange(stable_seed(seed, "frequency"), index) for index in range(_LOOKED_AT)]

    def count(concept: Concept) -> int:
        if isinstance(concept, Dead):
            return _LOOKED_AT
        if isinstance(concept, Polysemantic):
            return min(count(concept.first), count(concept.second))
        whole = concept.whole if isinstance(concept, Part) else concept
        assert isinstance(whole, OfObjects)
        return sum(bool(whole.select(objects).any()) for objects in scenes)

    return count
