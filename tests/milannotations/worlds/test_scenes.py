"""Scenes: exact geometry of hand-built ones, determinism, and what random ones hold."""

from __future__ import annotations

import math

import numpy as np
import pytest

from milannotations.errors import InputError
from milannotations.worlds import Object, World, make_scene, render
from milannotations.worlds.scenes import BACKGROUNDS, COLOURS, SHAPES, SIZE, TEXTURES, arrange


def thing(shape: str = "circle", x: float = 112, y: float = 112, radius: float = 40) -> Object:
    return Object(shape, "red", "solid", "large", x, y, radius)


@pytest.mark.parametrize(
    ("shape", "share"),
    [  # of radius squared
        ("circle", math.pi),
        ("ring", math.pi * (1 - 0.58**2)),
        ("square", (2 * 0.86) ** 2),
        ("triangle", 0.95 * 1.8),
        ("cross", 2 * 4 * 0.32 - (2 * 0.32) ** 2),
        ("star", 10 * 0.5 * 0.45 * math.sin(math.pi / 5)),
    ],
)
def test_area_of_a_shape(shape, share):
    owned = (render([thing(shape)]).owner == 0).sum()
    assert owned == pytest.approx(share * 40**2, rel=0.04)


def test_shape_lies_around_its_centre():
    rows, columns = (render([thing("circle", x=60, y=150)]).owner == 0).nonzero()
    assert rows.mean() == pytest.approx(150, abs=0.6)
    assert columns.mean() == pytest.approx(60, abs=0.6)


def test_ring_shows_what_is_behind_its_hole():
    scene = render([thing("square", radius=45), thing("ring", radius=40)])
    assert scene.owner[112, 112] == 0
    assert scene.owner[112, 112 - 32] == 1
    assert scene.owner[0, 0] == -1


def test_later_objects_are_in_front_and_every_pixel_has_one_owner():
    scene = render([thing("circle", x=100), thing("square", x=130)])
    alone = [render([item]).owner == 0 for item in scene.objects]
    assert np.array_equal(scene.owner == 1, alone[1])
    assert np.array_equal(scene.owner == 0, alone[0] & ~alone[1])
    assert scene.owner[112, 130] == 1


def test_picture_agrees_with_the_truth():
    for colour, rgb in COLOURS.items():
        scene = render([Object("square", colour, "solid", "large", 112, 112, 40)])
        pixels = np.asarray(scene.image)
        inside = np.zeros((SIZE, SIZE), dtype=bool)
        inside[90:134, 90:134] = True
        assert (pixels[inside] == rgb).all()
        assert not (pixels[scene.owner < 0] == rgb).all(axis=-1).any()


@pytest.mark.parametrize("texture", TEXTURES)
def test_texture_is_seen_in_small_objects(texture):
    scene = render([Object("square", "blue", texture, "small", 112, 112, 15)])
    blue = (np.asarray(scene.image)[101:123, 101:123] == COLOURS["blue"]).all(axis=-1).mean()
    assert blue == 1 if texture == "solid" else 0.1 < blue < 0.8


def test_scene_depends_on_seed_and_index_alone():
    forward, backward = World(3, 6), World(3, 6)
    first = [forward.scene(i) for i in range(6)]
    second = [backward.scene(i) for i in reversed(range(6))][::-1]
    for one, two in zip(first, second, strict=True):
        assert one.objects == two.objects
        assert one.image.tobytes() == two.image.tobytes()
        assert np.array_equal(one.owner, two.owner)
    assert make_scene(4, 0).objects != first[0].objects


def test_random_scenes():
    arrangements = [arrange(0, index) for index in range(200)]
    objects = [o for found in arrangements for o in found]
    assert {o.shape for o in objects} == set(SHAPES)
    assert {o.colour for o in objects} == set(COLOURS)
    assert all(o.radius <= o.x <= SIZE - o.radius for o in objects)
    assert all(o.radius <= o.y <= SIZE - o.radius for o in objects)
    counts = [len(found) for found in arrangements]
    assert 4 <= np.mean(counts) <= 7 and max(counts) <= 7
    inside = [
        any(
            math.hypot(a.x - b.x, a.y - b.y) + a.radius < b.radius
            for a in found for b in found if a is not b
        )
        for found in arrangements
    ]  # fmt: skip
    assert np.mean(inside) > 0.3
    assert {make_scene(0, index).background for index in range(40)} == set(BACKGROUNDS)


def test_source():
    world = World(3, 5)
    image = world.image(2)
    assert len(world) == 5
    assert image.size == (SIZE, SIZE) and image.mode == "RGB"
    assert world.inputs(2).item() == 2 and world.inputs(2).ndim == 0
    assert world.name(2).endswith("scene-00002")


def test_mistakes():
    with pytest.raises(InputError, match="at least 1"):
        World(0, 0)
    with pytest.raises(InputError, match="seed -1"):
        World(-1, 2)
    for call in (World(0, 2).scene, World(0, 2).inputs, World(0, 2).image, World(0, 2).name):
        with pytest.raises(InputError, match="scene 2 of a world of 2"):
            call(2)
        with pytest.raises(InputError, match="scene -1"):
            call(-1)
    with pytest.raises(InputError, match="did you mean 'circle'"):
        thing("cirle")
    with pytest.raises(InputError, match="radius is 0"):
        thing(radius=0)
    with pytest.raises(InputError, match="did you mean 'gradient'"):
        render([], "gradint")
    with pytest.raises(InputError, match="101 objects"):
        render([thing()] * 101)
