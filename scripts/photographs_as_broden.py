"""Make labelled images in Broden's layout from cut-out photographs and their captions.

The cut-outs are those of the drawing program Tux Paint (Debian's ``tuxpaint-stamps-default``, GPL):
photographs of objects whose transparency marks the object exactly, each with a caption. They
are used in place and never stored in this repository. Each image shows a few of them in front of a
plain background or a piece of a photograph; labels are

- ``object``: the object that the caption names, and in a second channel its kind (a bird, a fruit),
  for each pixel;
- ``color``: the nearest of eleven colour names in CIELAB, for each pixel;
- ``scene``: the kind of background, for the whole image.

``kinds.csv`` says which kinds are animals, food and so on; it can be used as a hierarchy of
concepts. The script needs the extra ``data`` (scikit-image).

    python scripts/photographs_as_broden.py --stamps /usr/share/tuxpaint/stamps --out photographs
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage import color, data

from milannotations.progress import progress_bar
from milannotations.storage import atomic_folder
from milannotations.worlds.broden import BrodenWriter

SIZE, LABELS = 224, 112
# Folders whose stamps are photographs of objects, and the kind of object in each.
KINDS = {
    "animals/birds": "bird", "animals/mammals": "mammal", "animals/fish": "fish",
    "animals/insects": "insect", "animals/shellfish": "shellfish", "animals/marsupials": "mammal",
    "animals/amphibians": "amphibian", "animals/lizards": "reptile", "food/fruit": "fruit",
    "food/vegetables": "vegetable", "food/dessert": "dessert", "food/nuts": "nut",
    "plants/flowers": "flower", "plants/trees": "tree", "plants/mushrooms": "mushroom",
    "hobbies/music": "musical instrument", "household/dishes": "dish", "household/tools": "tool",
    "household/electronics": "electronics", "clothes/hats": "hat", "clothes": "clothing",
    "vehicles/auto": "vehicle", "vehicles/emergency": "vehicle", "vehicles/flight": "vehicle",
    "vehicles/ship": "vehicle", "vehicles/construction": "vehicle", "military/vehicles": "vehicle",
    "sports": "sports equipment", "space/planets": "planet", "symbols/money": "money",
}  # fmt: skip
BROADER = {
    "animal": ("bird", "mammal", "fish", "insect", "shellfish", "amphibian", "reptile"),
    "food": ("fruit", "vegetable", "dessert", "nut"),
    "plant": ("flower", "tree", "mushroom", "fruit", "vegetable"),
    "artefact": (
        "musical instrument", "dish", "tool", "electronics", "hat", "clothing", "vehicle",
        "sports equipment", "money",
    ),
}  # fmt: skip
# Prototypes in sRGB of the eleven basic colour terms (Berlin and Kay, 1969).
COLORS = {
    "black": (20, 20, 20), "white": (245, 245, 245), "grey": (128, 128, 128), "red": (200, 30, 30),
    "orange": (240, 130, 20), "yellow": (240, 220, 40), "green": (50, 140, 50),
    "blue": (40, 80, 200), "purple": (120, 50, 150), "pink": (245, 150, 190),
    "brown": (110, 70, 35),
}  # fmt: skip
GROUNDS = ("plain", "photograph")


def stamps_below(root: Path) -> list[tuple[str, str, Image.Image]]:
    """Return name, kind and picture of each cut-out."""
    found = []
    for folder, kind in KINDS.items():
        for path in sorted((root / folder).glob("*.png")):
            caption = path.with_suffix(".txt")
            if not caption.is_file():
                continue
            name = _name(caption.read_text(encoding="utf-8").splitlines()[0])
            with Image.open(path) as picture:
                rgba = picture.convert("RGBA")
            alpha = np.asarray(rgba)[..., 3]
            # A drawing has few colours; a photograph has many.
            colours = len(
                np.unique(np.asarray(rgba.convert("RGB").resize((64, 64))).reshape(-1, 3), axis=0)
            )
            if name and colours > 500 and 0.02 < (alpha > 127).mean() < 0.98:
                found.append((name, kind, rgba.crop(rgba.getbbox())))
    return found


def _name(caption: str) -> str:
    """Return the object that a caption names: "A red panda." gives "red panda"."""
    text = re.split(r"[.,;:!?(—–]", caption.lower())[0].strip()
    return re.sub(r"^(an?|the|some)\s+", "", text)


def grounds() -> list[NDArray[np.uint8]]:
    """Return photographs without labelled objects, all in the public domain or CC0."""
    names = ("brick", "grass", "gravel", "coffee", "rocket", "hubble_deep_field", "retina")
    pictures = [getattr(data, name)() for name in names]
    return [p if p.ndim == 3 else np.repeat(p[..., None], 3, axis=2) for p in pictures]


def compose(
    rng: np.random.Generator,
    stamps: list[tuple[str, str, Image.Image]],
    backgrounds: list[NDArray[np.uint8]],
) -> tuple[Image.Image, NDArray[np.int64], str]:
    """Return a picture, the stamp at each pixel (-1 for none), and the kind of background."""
    kind = GROUNDS[int(rng.integers(2))]
    if kind == "plain":
        canvas = Image.new("RGB", (SIZE, SIZE), tuple(int(v) for v in rng.integers(60, 250, 3)))
    else:
        whole = backgrounds[int(rng.integers(len(backgrounds)))]
        side = int(rng.integers(SIZE // 2, min(whole.shape[:2]) + 1))
        top, left = (int(rng.integers(0, n - side + 1)) for n in whole.shape[:2])
        piece = Image.fromarray(whole[top : top + side, left : left + side, :3])
        canvas = piece.resize((SIZE, SIZE))
    owner = np.full((SIZE, SIZE), -1)
    for number in rng.choice(len(stamps), int(rng.integers(1, 5)), replace=False):
        picture = stamps[number][2]
        scale = SIZE * rng.uniform(0.25, 0.7) / max(picture.size)
        small = picture.resize([max(8, round(n * scale)) for n in picture.size])
        if rng.random() < 0.5:
            small = small.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        left = int(rng.integers(-small.width // 4, SIZE - 3 * small.width // 4))
        top = int(rng.integers(-small.height // 4, SIZE - 3 * small.height // 4))
        canvas.paste(small, (left, top), small)
        stencil = Image.new("L", (SIZE, SIZE))
        stencil.paste(small.getchannel("A"), (left, top))
        owner[np.asarray(stencil) > 127] = number
    return canvas, owner, kind


def colour_names(picture: Image.Image) -> NDArray[np.int64]:
    """Return the index in ``COLORS`` of each pixel's nearest colour, at the labels' size."""
    small = np.asarray(picture.resize((LABELS, LABELS)))
    wanted = color.rgb2lab(np.array([list(COLORS.values())]) / 255)[0]
    lab = color.rgb2lab(small / 255)
    return np.linalg.norm(lab[:, :, None] - wanted, axis=3).argmin(axis=2)


def write(root: Path, out: Path, scenes: int, seed: int, overwrite: bool) -> None:
    """Write the data set."""
    stamps, backgrounds = stamps_below(root), grounds()
    if not stamps:
        raise SystemExit(f"{root} holds no cut-out photographs with captions")
    names = sorted({name for name, _, _ in stamps} | {kind for _, kind, _ in stamps})
    with atomic_folder(out, overwrite) as folder, progress_bar() as bar:
        writer = BrodenWriter(
            folder,
            {
                "object": names,
                "color": [f"{name}-c" for name in COLORS],
                "scene": [f"{ground}-s" for ground in GROUNDS],
            },
        )
        numbers = writer.numbers
        of_stamp = np.array([0] + [numbers[name] for name, _, _ in stamps])
        of_kind = np.array([0] + [numbers[kind] for _, kind, _ in stamps])
        of_colour = np.array([numbers[f"{name}-c"] for name in COLORS])
        task = bar.add_task("Images", total=scenes)
        for index in range(scenes):
            rng = np.random.default_rng((seed, index))
            picture, owner, ground = compose(rng, stamps, backgrounds)
            things = owner[1::2, 1::2] + 1
            entries = {
                "object": [of_stamp[things], of_kind[things]],
                "color": [of_colour[colour_names(picture)]],
                "scene": [numbers[f"{ground}-s"]],
            }
            writer.add(f"{index:05d}", picture, (LABELS, LABELS), entries)
            bar.advance(task)
        writer.finish()
        kinds = [f"{kind},{group}" for group, below in BROADER.items() for kind in below]
        known = [line for line in kinds if line.split(",")[0] in names]
        (folder / "kinds.csv").write_text("\n".join(["concept,parent", *known, ""]))
    print(f"{scenes} images of {len(stamps)} cut-outs, {len(names)} objects: {out}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stamps", type=Path, required=True, help="the stamps' folder")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--scenes", type=int, default=600, help="number of images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--overwrite", action="store_true", help="replace the folder")
    given = parser.parse_args()
    write(given.stamps, given.out, given.scenes, given.seed, given.overwrite)
