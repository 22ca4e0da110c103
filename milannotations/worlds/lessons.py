"""Lessons: ground-truth neurons for text, faces and much else, from which a describer learns.

They are like the synthetic neurons, but words and icons of faces, with exact masks, are drawn over
their scenes, which are blurred and noisy to various degrees, like small networks' images.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from datasets import Dataset, load_dataset
from PIL import Image

from milannotations.data_home import home
from milannotations.errors import InputError
from milannotations.exemplars.build import build
from milannotations.exemplars.options import BuildOptions
from milannotations.exemplars.request import BuildRequest
from milannotations.record import FEATURES
from milannotations.storage import locked
from milannotations.worlds.concepts import (
    And,
    Anything,
    Attribute,
    Concept,
    Dead,
    Or,
    Polysemantic,
)
from milannotations.worlds.grammar import references
from milannotations.worlds.lesson_concepts import Drawn, Edges, Ground, LessonScene, Light, Overlay
from milannotations.worlds.network import SyntheticNetwork
from milannotations.worlds.neurons import LAYERS, SyntheticNeuron
from milannotations.worlds.overlays import FONTS, Colour, draw_face, draw_text
from milannotations.worlds.scenes import (
    BACKGROUNDS,
    COLOURS,
    SHAPES,
    SIZE,
    SIZES,
    TEXTURES,
    arrange,
    render,
)
from milannotations.worlds.source import World
from milannotations.worlds.spatial import PARTS, Part

_VERSION = 1  # of the cache; raised when the same arguments give different neurons
_WORDS = (
    "amber", "bridge", "candle", "copper", "dolphin", "engine", "forest", "garden", "harbor",
    "island", "jacket", "kettle", "ladder", "meadow", "needle", "orchid", "pepper", "quilt",
    "river", "saddle", "temple", "umbrella", "velvet", "window", "yellow brick", "zebra",
    "hot soup", "no entry", "open", "SALE", "Exit", "EAST 12", "k 42", "Bus stop", "milk",
)  # fmt: skip
_LETTERS: dict[str, Colour] = {
    "white": (255, 255, 255),
    "black": (0, 0, 0),
    "red": (200, 20, 30),
    "yellow": (250, 220, 30),
}
_BOXES: dict[str, Colour] = {
    "white": (0, 0, 0),
    "black": (255, 255, 255),
    "red": (255, 255, 255),
    "yellow": (20, 30, 90),
}
# Neurons of each concept; concepts that most units of small networks respond to are more frequent.
_TEXTS, _FACES, _OTHER = 5, 5, 2


class Lessons(World):
    """Scenes with words, faces and balls drawn over them, as a source for the exemplar builder.

    Args:
        seed: Scenes of different seeds differ.
        count: How many scenes there are.

    Raises:
        InputError: As in ``World``.
    """

    def __init__(self, seed: int, count: int) -> None:
        super().__init__(seed, count)
        self._scene = lru_cache(maxsize=256)(lambda index: make_lesson_scene(seed, index))

    def name(self, index: int) -> str:
        """Return a name such as ``lessons-1/scene-00012``."""
        return super().name(index).replace("world-", "lessons-", 1)

    def identity(self) -> dict[str, Any]:
        """Return the seed, the number of scenes, and their version."""
        return {"images": self.count, "lessons": self.seed, "version": _VERSION}


def lessons(*, scenes: int = 400, k: int = 10, seed: int = 0) -> Dataset:
    """Return ground-truth neurons on which to train a describer; built once, then cached.

    Args:
        scenes: Number of scenes from which exemplars are chosen.
        k: Exemplars per neuron.
        seed: Seed of the scenes and of the neurons' noise.

    Returns:
        Neuron records with three references each, which a grammar wrote, not people.

    Raises:
        InputError: If there are fewer scenes than exemplars or the seed is below 0.
    """
    if seed < 0:
        raise InputError(f"seed {seed} of lessons; it must be at least 0")
    if not 1 <= k <= scenes:
        raise InputError(
            f"lessons of {scenes} scenes with k={k}; take at least k, and k at least 1"
        )
    neurons = lesson_neurons(seed)
    folder = home() / "lessons" / f"{_VERSION}-{seed}-{scenes}-{k}"
    with locked(folder, wait=True):
        if not (folder / "data").is_dir() and not any(folder.glob("*.parquet")):
            world = Lessons(seed, scenes)
            network = SyntheticNetwork(neurons, world)
            build(
                BuildRequest(
                    module=network,
                    source=world,
                    layers=network.names,
                    out=folder,
                    model="lessons",
                    dataset="lessons",
                    options=BuildOptions(k=k, image_format="webp"),
                )
            )
    built = load_dataset(str(folder), split="train", cache_dir=str(home() / "lessons-cache"))
    references = {(neuron.layer, neuron.unit): list(neuron.references) for neuron in neurons}
    keys = zip(built["layer"], built["unit"], strict=True)
    texts = [references[layer, unit] for layer, unit in keys]
    bare = built.remove_columns(["annotations"])
    bare = bare.add_column("annotations", texts, feature=FEATURES["annotations"])
    return bare.select_columns(list(FEATURES))


def lesson_neurons(seed: int = 0) -> list[SyntheticNeuron]:
    """Return the neurons of the lessons, in the order of their layers and units.

    Their kinds are ``text``, ``face``, ``ball``, ``other`` and ``dead``.
    """
    rng = np.random.default_rng((seed, 7))
    names = list(LAYERS)
    units = dict.fromkeys(names, 0)
    neurons = []
    for number, (kind, concept) in enumerate(_curriculum()):
        layer = names[(number + number // len(names)) % len(names)]
        noise = float(rng.uniform(0.1, 0.9))
        neurons.append(
            SyntheticNeuron(
                layer, units[layer], "train", kind, concept, references(concept, rng), noise
            )
        )
        units[layer] += 1
    return sorted(neurons, key=lambda neuron: (names.index(neuron.layer), neuron.unit))


def make_lesson_scene(seed: int, index: int) -> LessonScene:
    """Arrange and render scene ``index`` of the lessons ``seed``."""
    rng = np.random.default_rng((seed, index, 3))
    # Different arrangements from those of the world with the same seed.
    base = render(arrange(seed + 900_000, index), str(rng.choice(BACKGROUNDS)), rng)
    image, drawn = base.image, []
    for _ in range(int(rng.choice([0, 1, 2], p=[0.45, 0.4, 0.15]))):
        blank = bool(rng.random() < 0.5)
        image, mask = draw_face(image, rng, radius=(0.09, 0.2), blank=blank)
        drawn.append(Drawn("ball" if blank else "face", mask))
    for _ in range(int(rng.choice([0, 1, 2], p=[0.5, 0.4, 0.1]))):
        colour = str(rng.choice(list(_LETTERS)))
        words = " ".join(rng.choice(_WORDS, size=int(rng.integers(1, 3))))
        image, mask = draw_text(
            image,
            words,
            rng,
            height=float(rng.uniform(0.08, 0.2)),
            font=str(rng.choice(FONTS)),
            colours=(_LETTERS[colour], _BOXES[colour] if rng.random() < 0.7 else None),
        )
        drawn.append(Drawn("text", mask, colour))
    owner = base.owner.copy()
    for position, shape in enumerate(drawn):
        owner[shape.mask] = -1
        drawn[:position] = [replace(old, mask=old.mask & ~shape.mask) for old in drawn[:position]]
    return LessonScene(base.objects, _degraded(image, rng), owner, base.background, tuple(drawn))


def _degraded(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Make an image as blurred and noisy as small networks' images, which are enlarged."""
    side = int(rng.choice([80, 96, 128, SIZE]))
    small = image.resize((side, side), Image.Resampling.BOX)
    pixels = np.asarray(small, dtype=np.float32)
    pixels = (pixels - 128) * rng.uniform(0.5, 1.1) + 128 + rng.uniform(-30, 30)
    pixels += rng.normal(0, rng.uniform(0, 20), pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).resize((SIZE, SIZE))


def _curriculum() -> list[tuple[str, Concept]]:
    """Return the kind and concept of every neuron."""
    shapes = [Attribute("shape", value) for value in SHAPES]
    colours = [Attribute("colour", value) for value in COLOURS]
    textures = [Attribute("texture", value) for value in TEXTURES]
    text, face, ball = Overlay("text"), Overlay("face"), Overlay("ball")
    texts: list[Concept] = [text, text, text, *(Overlay("text", c) for c in _LETTERS)]
    texts += [Edges("strokes")] * 2
    common: list[Concept] = [
        *(Ground(kind) for kind in BACKGROUNDS),
        Light("dark"),
        Light("bright"),
        Edges("horizontal"),
        Edges("vertical"),
        Edges("any"),
    ]
    other: list[Concept] = [
        *shapes,
        *colours,
        *textures,
        *(Attribute("size", value) for value in SIZES),
        Anything(),
        *(And(a, b) for a in shapes for b in textures[1:]),
        *(Or(a, b) for a, b in zip(colours, [*colours[1:], colours[0]], strict=True)),
        *(Part(side, Anything()) for side in PARTS),
        *common,
        *common,
    ]
    curriculum: list[tuple[str, Concept]] = [
        ("text", concept) for concept in texts for _ in range(_TEXTS)
    ]
    curriculum += [
        ("text", Polysemantic(text, concept)) for concept in (shapes[0], colours[0], textures[1])
    ]
    curriculum += [("face", face)] * 3 * _FACES
    curriculum += [("face", Polysemantic(face, concept)) for concept in (colours[2], shapes[1])]
    curriculum += [("ball", ball)] * _FACES
    curriculum += [("other", concept) for concept in other for _ in range(_OTHER)]
    curriculum += [("other", Dead())] * 6 + [("dead", Dead())] * 2
    return curriculum
