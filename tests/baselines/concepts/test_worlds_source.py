from __future__ import annotations

import numpy as np
import pytest

from baselines.concepts.labelled_scenes import LabelledScenes
from milannotations.errors import InputError
from milannotations.worlds import Anything, Attribute, Background, Part, World
from milannotations.worlds.scenes import ATTRIBUTES, BACKGROUNDS


@pytest.mark.parametrize("index", range(6))
def test_every_label_is_its_concepts_own_mask(index: int) -> None:
    source, scene = LabelledScenes(2, 8), World(2, 8).scene(index)
    labels = source.labels(index)
    assert not labels.whole
    for position, concept in enumerate(source.concepts):
        found = (labels.pixels == position + 1).any(0)
        if concept.category in ATTRIBUTES:
            expected = Attribute(concept.category, concept.name).mask(scene)
        elif concept.category == "part":
            expected = Part(concept.name, Anything()).mask(scene)
        else:
            expected = Background(concept.name.removesuffix(" background")).mask(scene)
        np.testing.assert_array_equal(found, expected)


def test_no_label_is_given_twice() -> None:
    labels = LabelledScenes(2, 8).labels(0).pixels
    for code in np.unique(labels[labels > 0]):
        assert (labels == code).sum(0).max() == 1


def test_vocabulary() -> None:
    source = LabelledScenes(0, 3)
    assert len(source.concepts) == sum(map(len, ATTRIBUTES.values())) + len(BACKGROUNDS) + 6
    assert {c.category for c in source.concepts} == set(source.categories)
    assert source.image(2).size == (224, 224)
    assert source.identity() != LabelledScenes(1, 3).identity()


@pytest.mark.parametrize(("seed", "scenes"), [(-1, 5), (0, 0)])
def test_worlds_that_cannot_be(seed: int, scenes: int) -> None:
    with pytest.raises(InputError):
        LabelledScenes(seed, scenes)


def test_no_such_scene() -> None:
    with pytest.raises(InputError, match="scene 3 of a world of 3"):
        LabelledScenes(0, 3).labels(3)
