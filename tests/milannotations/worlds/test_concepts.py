"""Concepts: masks against geometry and brute force on hand-built scenes."""

from __future__ import annotations

import numpy as np
import pytest

from milannotations.errors import InputError
from milannotations.worlds import (
    And,
    AndNot,
    Anything,
    Attribute,
    Background,
    Dead,
    Object,
    Or,
    Part,
    Polysemantic,
    Relation,
    make_scene,
    render,
)

CIRCLE, SQUARE, STAR = (Attribute("shape", v) for v in ("circle", "square", "star"))
RED, BLUE = Attribute("colour", "red"), Attribute("colour", "blue")
STRIPED, SMALL = Attribute("texture", "striped"), Attribute("size", "small")


def thing(shape: str, x: float, y: float, radius: float = 20, colour: str = "red") -> Object:
    return Object(shape, colour, "solid", "small" if radius < 30 else "large", x, y, radius)


def test_attribute_is_the_objects_that_have_it():
    scene = render([thing("circle", 50, 50), thing("square", 150, 150, colour="blue")])
    for concept, owner in ((CIRCLE, 0), (RED, 0), (SQUARE, 1), (BLUE, 1)):
        assert np.array_equal(concept.mask(scene), scene.owner == owner)
    assert not STAR.mask(scene).any()
    assert np.array_equal(Anything().mask(scene), scene.owner >= 0)
    assert not Dead().mask(scene).any()


def test_combinations_against_brute_force():
    pairs = [(CIRCLE, RED), (SQUARE, STRIPED), (STAR, SMALL), (RED, BLUE), (CIRCLE, SQUARE)]
    for index in range(30):
        scene = make_scene(0, index)
        for first, second in pairs:
            a, b = (
                np.isin(
                    scene.owner,
                    [i for i, o in enumerate(scene.objects) if getattr(o, c.kind) == c.value],
                )
                for c in (first, second)
            )
            assert np.array_equal(And(first, second).mask(scene), a & b)
            assert np.array_equal(Or(first, second).mask(scene), a | b)
            assert np.array_equal(AndNot(first, second).mask(scene), a & ~b)
            assert np.array_equal(Polysemantic(first, second).mask(scene), a | b)


def test_background():
    grid = render([thing("circle", 112, 112)], "grid")
    assert np.array_equal(Background("grid").mask(grid), grid.owner == -1)
    assert not Background("plain").mask(grid).any()


@pytest.mark.parametrize("shape", ["circle", "square", "cross"])
def test_sides_of_an_object(shape):
    scene = render([thing(shape, 100, 120, 40)])
    whole = Attribute("shape", shape)
    masks = {
        part: Part(part, whole).mask(scene)
        for part in ("lower edge", "upper edge", "left side", "right side")
    }
    far = 0.4 * 40
    assert masks["lower edge"].nonzero()[0].min() > 120 + far
    assert masks["upper edge"].nonzero()[0].max() < 120 - far
    assert masks["left side"].nonzero()[1].max() < 100 - far
    assert masks["right side"].nonzero()[1].min() > 100 + far
    for mask in masks.values():
        assert mask.any() and not (mask & (scene.owner != 0)).any()
    # Both reach the object's own end.
    assert masks["lower edge"].nonzero()[0].max() == (scene.owner == 0).nonzero()[0].max()


def test_outline_and_centre():
    scene = render([thing("circle", 112, 112, 40)])
    outline, centre = (Part(p, CIRCLE).mask(scene) for p in ("outline", "centre"))
    distance = np.hypot(*(np.mgrid[0:224, 0:224] - 112))
    assert distance[outline].min() > 40 - 6.5
    assert distance[centre].max() < 16
    assert centre.sum() == pytest.approx(np.pi * 16**2, rel=0.05)
    assert outline.sum() == pytest.approx(np.pi * (40**2 - 36**2), rel=0.25)


def test_part_of_what_is_hidden_is_not_seen():
    scene = render([thing("circle", 112, 100, 40), thing("square", 112, 150, 40)])
    part = Part("lower edge", CIRCLE).mask(scene)
    assert not (part & (scene.owner != 0)).any()


def test_relations_on_placed_objects():
    scene = render(
        [thing("circle", 60, 40), thing("square", 60, 120), thing("star", 150, 120, colour="blue")]
    )
    true = [("above", CIRCLE, SQUARE), ("below", SQUARE, CIRCLE), ("left of", SQUARE, STAR),
            ("right of", STAR, SQUARE)]  # fmt: skip
    for kind, first, second in true:
        assert np.array_equal(Relation(kind, first, second).mask(scene), first.mask(scene))
        assert not Relation(kind, second, first).mask(scene).any()
    # The circle is higher than the star, but not over it.
    assert not Relation("above", CIRCLE, STAR).mask(scene).any()
    assert not Relation("above", CIRCLE, CIRCLE).mask(scene).any()


def test_inside():
    scene = render([thing("square", 112, 112, 48), thing("star", 115, 110, 15)])
    assert np.array_equal(Relation("inside", STAR, SQUARE).mask(scene), STAR.mask(scene))
    assert not Relation("inside", SQUARE, STAR).mask(scene).any()
    beside = render([thing("square", 80, 112, 48), thing("star", 150, 112, 15)])
    assert not Relation("inside", STAR, Anything()).mask(beside).any()


def test_only_the_object_in_the_relation_counts():
    scene = render([thing("circle", 60, 40), thing("square", 60, 120), thing("circle", 170, 170)])
    assert np.array_equal(Relation("above", CIRCLE, SQUARE).mask(scene), scene.owner == 0)


def test_mirrored_relations_agree_with_mirrored_scenes():
    for index in range(20):
        objects = make_scene(5, index).objects
        flipped = [Object(**{**vars(o), "x": 224 - o.x}) for o in objects]
        turned = [Object(**{**vars(o), "y": 224 - o.y}) for o in objects]
        left, right = (
            Relation("left of", CIRCLE, Anything()),
            Relation("right of", CIRCLE, Anything()),
        )
        above, below = Relation("above", RED, Anything()), Relation("below", RED, Anything())
        assert (left.select(objects) == right.select(tuple(flipped))).all()
        assert (above.select(objects) == below.select(tuple(turned))).all()


def test_key_ignores_order_where_meaning_does():
    for kind in (And, Or, Polysemantic):
        assert kind(CIRCLE, RED).key == kind(RED, CIRCLE).key
    assert AndNot(CIRCLE, RED).key != AndNot(RED, CIRCLE).key
    assert Relation("above", CIRCLE, STAR).key != Relation("above", STAR, CIRCLE).key
    keys = {kind(CIRCLE, RED).key for kind in (And, Or, AndNot, Polysemantic)}
    assert len(keys) == 4


def test_mistakes():
    with pytest.raises(InputError, match="did you mean 'shape'"):
        Attribute("shap", "circle")
    with pytest.raises(InputError, match="did you mean 'red'"):
        Attribute("colour", "redd")
    with pytest.raises(InputError, match="did you mean 'outline'"):
        Part("outlin", CIRCLE)
    with pytest.raises(InputError, match="did you mean 'above'"):
        Relation("abov", CIRCLE, STAR)
    with pytest.raises(InputError, match="did you mean 'grid'"):
        Background("gridd")
