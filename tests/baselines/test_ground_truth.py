"""Neurons whose concept is certain: both dissection baselines must find it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from baselines.compexp.beam import BeamSearchConfig, Space, dense_row, search
from baselines.compexp.formula import parse
from baselines.compexp.optimal import optimal
from baselines.concepts.activations import RecordedMaps
from baselines.concepts.counting import Masking
from baselines.concepts.labelled_scenes import LabelledScenes
from baselines.concepts.packing import PackedConcepts, packed
from baselines.concepts.probing import tallies
from baselines.concepts.tally import Tally
from baselines.netdissect.scores import detect
from baselines.netdissect.variants import VARIANTS
from milannotations.worlds import (
    And,
    AndNot,
    Attribute,
    Concept,
    Or,
    World,
    synthetic_neurons,
)
from tests.baselines.concepts.made_up import record

SCENES, SIDE = 48, 112


def in_vocabulary(concept: Concept) -> bool:
    if isinstance(concept, And | Or | AndNot):
        return isinstance(concept.first, Attribute) and isinstance(concept.second, Attribute)
    return isinstance(concept, Attribute)


CONCEPTS = [c for c in {n.concept.key: n.concept for n in synthetic_neurons()}.values()
            if in_vocabulary(c)]  # fmt: skip


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> PackedConcepts:
    folder = tmp_path_factory.mktemp("labels") / "worlds"
    return packed(LabelledScenes(5, SCENES), folder=folder, shape=(224, 224))


@pytest.fixture(scope="module")
def tally(labels: PackedConcepts, tmp_path_factory: pytest.TempPathFactory) -> Tally:
    """One noiseless unit per concept: its activation is the concept's share of each cell."""
    world, cell = World(5, SCENES), 224 // SIDE
    maps = np.zeros((SCENES, len(CONCEPTS), SIDE, SIDE), dtype=np.float32)
    for i in range(SCENES):
        for unit, concept in enumerate(CONCEPTS):
            cells = concept.mask(world.scene(i)).reshape(SIDE, cell, SIDE, cell)
            maps[i, unit] = cells.mean((1, 3))
    folder = tmp_path_factory.mktemp("maps")
    recorded = RecordedMaps(record(folder, {"units": maps}, 224))
    return tallies(recorded, labels, Masking(threshold=0.5), folder / "work")["units"]


def space_of(labels: PackedConcepts) -> Space:
    return Space(labels.partition.holds, labels.partition.areas)


def test_every_concept_of_the_vocabulary_is_here() -> None:
    kinds = [type(concept) for concept in CONCEPTS]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        Attribute: 19, And: 78, Or: 36, AndNot: 36,
    }  # fmt: skip


@pytest.mark.parametrize("distinct", [False, True])
def test_the_beam_recovers_every_concept(
    labels: PackedConcepts, tally: Tally, distinct: bool
) -> None:
    names = [c.name for c in labels.partition.concepts]
    results = search(space_of(labels), tally.counts, BeamSearchConfig(distinct=distinct))
    for concept, best in zip(CONCEPTS, results, strict=True):
        assert best.iou >= 0.9, (concept.key, best.formula.text(names), best.iou)


def test_two_labels_are_enough_for_formulas_of_two(labels: PackedConcepts, tally: Tally) -> None:
    space = space_of(labels)
    names = [c.name for c in labels.partition.concepts]
    for unit, concept in enumerate(CONCEPTS):
        counts = dense_row(tally.counts, unit)
        proof = optimal(space, counts, 2)
        assert proof.proved
        assert proof.iou >= 0.9, (concept.key, proof.formula.text(names))
        # Of formulas that say the same, as "large" and "not small" do, either may be found.
        expected = parse(re.sub(r"NOT (\w+)", r"(NOT \1)", concept.key), names)
        np.testing.assert_array_equal(
            proof.formula.atoms(space.columns), expected.atoms(space.columns)
        )


@pytest.mark.parametrize("variant", ["original", "lite", "segmenter"])
def test_single_concepts_are_detected(labels: PackedConcepts, tally: Tally, variant: str) -> None:
    results = detect(labels.partition, tally, VARIANTS[variant])
    for concept, result in zip(CONCEPTS, results, strict=True):
        if isinstance(concept, Attribute):
            assert result.best is not None
            assert result.best.name == concept.key
            assert result.best.iou >= 0.9


def test_a_unit_that_is_its_concept_has_iou_one(labels: PackedConcepts, tmp_path: Path) -> None:
    world = World(5, SCENES)
    concept = AndNot(Attribute("shape", "circle"), Attribute("texture", "solid"))
    masks = np.array([concept.mask(world.scene(i)) for i in range(SCENES)])
    recorded = RecordedMaps(record(tmp_path, {"units": masks[:, None].astype(np.float32)}, 224))
    exact = tallies(recorded, labels, Masking(threshold=0.5), tmp_path / "work")["units"]
    best = search(space_of(labels), exact.counts)[0]
    assert best.iou == pytest.approx(1, abs=1e-9)
    names = [c.name for c in labels.partition.concepts]
    assert best.formula.text(names) == "(circle AND (NOT solid))"
