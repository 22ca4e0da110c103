"""Lessons: exact masks of what is drawn over scenes, and neurons whose exemplars show it."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from milannotations.data_home import HOME_VARIABLE
from milannotations.errors import InputError
from milannotations.record import validate
from milannotations.worlds.classes import CLASSES
from milannotations.worlds.concepts import Anything, Background
from milannotations.worlds.lesson_concepts import Edges, Ground, Light, Overlay
from milannotations.worlds.lessons import Lessons, lesson_neurons, lessons, make_lesson_scene
from milannotations.worlds.neurons import SyntheticNeuron
from milannotations.worlds.scenes import make_scene


def test_what_is_drawn_over_a_scene_covers_objects_and_ground() -> None:
    kinds: Counter[str] = Counter()
    for index in range(24):
        scene = make_lesson_scene(0, index)
        kinds.update(one.kind for one in scene.drawn)
        masks = [one.mask for one in scene.drawn]
        assert not masks or np.sum(masks, axis=0).max() <= 1
        overlays = [Overlay(kind).mask(scene) for kind in ("text", "face", "ball")]
        parts = [*overlays, Anything().mask(scene), Ground(scene.background).mask(scene)]
        # Every pixel belongs to exactly one.
        assert np.array_equal(np.sum(parts, axis=0), np.ones((224, 224)))
        white = Overlay("text", "white").mask(scene)
        assert not (white & ~overlays[0]).any()
    assert min(kinds[kind] for kind in ("text", "face", "ball")) >= 3


def test_concepts_hold_in_scenes_without_anything_over_them_as_well() -> None:
    scene = make_scene(0, 1)
    assert not Overlay("face").mask(scene).any()
    ground = Ground(scene.background).mask(scene)
    assert np.array_equal(ground, Background(scene.background).mask(scene))
    horizontal, vertical = (Edges(kind).mask(scene) for kind in ("horizontal", "vertical"))
    assert horizontal.any()
    assert not (horizontal & vertical).any()
    assert not (Light("dark").mask(scene) & Light("bright").mask(scene)).any()


def test_scenes_depend_on_seed_and_index_alone_and_are_no_world_s() -> None:
    one, two, other = (make_lesson_scene(seed, 3) for seed in (0, 0, 1))
    assert one.image.tobytes() == two.image.tobytes() != other.image.tobytes()
    assert one.objects != make_scene(0, 3).objects
    source = Lessons(0, 5)
    assert source.name(3) == "lessons-0/scene-00003"
    assert source.image(3).tobytes() == one.image.tobytes()


def test_neurons_say_what_they_are_and_know_no_class() -> None:
    neurons = lesson_neurons()
    assert len({(n.layer, n.unit) for n in neurons}) == len(neurons)
    for neuron in neurons:
        assert len(set(neuron.references)) == 3
        said = re.findall(r"\w+", " ".join(neuron.references))
        assert ("text" in said) == (neuron.kind == "text")
        assert ("faces" in said) == (neuron.kind == "face")
        assert not set(said) & set(CLASSES)
    kinds = Counter(neuron.kind for neuron in neurons)
    assert min(kinds.values()) >= 2
    assert kinds["other"] > kinds["text"] + kinds["face"]


def test_lessons_are_records_built_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    plain = {Overlay(kind) for kind in ("text", "face", "ball")}
    few = _renumbered([n for n in lesson_neurons() if n.concept in plain][::6])
    monkeypatch.setattr("milannotations.worlds.lessons.lesson_neurons", lambda _seed: few)
    found = lessons(scenes=24, k=3)
    assert len(found) == len(few)
    world = Lessons(0, 24)
    of = {(n.layer, n.unit): n for n in few}
    for record in found:
        validate(record)
        neuron = of[record["layer"], record["unit"]]
        assert record["annotations"] == list(neuron.references)
        best = record["image_ids"][0]
        mask = np.asarray(record["masks"][0])
        truth = neuron.concept.mask(world.scene(best))
        assert (mask & truth).sum() > 0.3 * mask.sum()
    monkeypatch.setattr("milannotations.worlds.lessons.build", None)  # not built again
    assert lessons(scenes=24, k=3)[0]["annotations"] == found[0]["annotations"]


def _renumbered(neurons: list[SyntheticNeuron]) -> list[SyntheticNeuron]:
    """Number units anew, as a selection's channels are."""
    units: Counter[str] = Counter()
    found = []
    for neuron in neurons:
        found.append(replace(neuron, unit=units[neuron.layer]))
        units[neuron.layer] += 1
    return found


def test_mistakes() -> None:
    with pytest.raises(InputError, match="at least k"):
        lessons(scenes=3, k=4)
    with pytest.raises(InputError, match="seed -1"):
        lessons(seed=-1)
    for make in (Overlay, Ground, Light, Edges):
        with pytest.raises(InputError, match="'textt'"):
            make("textt")
