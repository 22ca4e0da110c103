"""Labelled data sets by name, as they are given on the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl

from baselines.concepts import CONCEPTS_HELP
from baselines.concepts.labelled_images import LabelledImages
from milannotations.errors import InputError, did_you_mean
from milannotations.numerals import count_of
from milannotations.pictures import shown, utf8

Options = dict[str, str]


def open_concepts(name: str, device: str = "auto") -> LabelledImages:
    """Open labelled images by name.

    Args:
        name: Kind, place and options, as ``CONCEPTS_HELP`` says.
        device: Where a segmentation model runs.

    Raises:
        InputError: If the name is not so written, or what it names cannot be opened.
    """
    if utf8(name) != name:
        # It is written into reports, whose text is UTF-8.
        raise InputError(f"the name of the labelled images {shown(name)!r} is not UTF-8; rename it")
    kind, colon, rest = name.partition(":")
    place, _, query = rest.partition("?")
    if kind not in _KINDS or not colon or not place:
        raise InputError(
            f"no labelled images are named {name!r}{did_you_mean(kind, _KINDS)}; "
            f"write {CONCEPTS_HELP}"
        )
    try:
        options = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    except ValueError as error:
        raise InputError(f"labelled images {name!r}: options are written NAME=VALUE") from error
    open_one, known = _KINDS[kind]
    for option in options:
        if option not in known:
            hint = did_you_mean(option, known)
            raise InputError(f"labelled images {name!r}: {kind} has no option {option!r}{hint}")
    return open_one(place, options | {"device": device})


def _broden(place: str, options: Options) -> LabelledImages:
    from baselines.concepts.broden import Broden

    given = options.get("categories")
    if given is None:
        return Broden(Path(place), options.get("index", "index.csv"))
    categories = None if given == "all" else given.split(",")
    return Broden(Path(place), options.get("index", "index.csv"), categories)


def _ade20k(place: str, options: Options) -> LabelledImages:
    from baselines.concepts.ade20k import ADE20K

    return ADE20K(Path(place), options.get("split", "validation"))


def _scene_parsing(place: str, options: Options) -> LabelledImages:
    from baselines.concepts.ade20k import SceneParsing

    return SceneParsing(Path(place), options.get("split", "validation"))


def _coco_panoptic(place: str, options: Options) -> LabelledImages:
    from baselines.concepts.coco import CocoPanoptic

    split, root = options.get("split", "val2017"), Path(place)
    annotations = root / "annotations"
    return CocoPanoptic(
        root / split, annotations / f"panoptic_{split}.json", annotations / f"panoptic_{split}"
    )


def _coco_stuff(place: str, options: Options) -> LabelledImages:
    from baselines.concepts.coco import CocoStuff

    split, root = options.get("split", "val2017"), Path(place)
    return CocoStuff(root / split, root / "stuffthingmaps" / split, root / "labels.txt")


def _worlds(place: str, options: Options) -> LabelledImages:
    from baselines.concepts.labelled_scenes import LabelledScenes

    seed, _, scenes = place.partition(":")
    number, count = count_of(seed), count_of(scenes)
    if number is None or count is None:
        raise InputError(f"labelled images 'worlds:{place}': write worlds:SEED:SCENES")
    return LabelledScenes(number, count)


def _segmenter(place: str, options: Options) -> LabelledImages:
    from baselines.concepts.segmented import PictureFolder, Segmented
    from milannotations.catalog.models import load_model
    from milannotations.inputs.generators import Latents
    from milannotations.inputs.sources import Pictures

    if "model" not in options:
        raise InputError(f"labelled images 'segmenter:{place}': add ?model=NAME")
    pictures: Pictures
    kind, _, count = place.partition(":")
    if kind == "generated":
        number = count_of(count)
        if number is None or "generator" not in options:
            raise InputError(
                f"labelled images 'segmenter:{place}': write "
                "segmenter:generated:COUNT?generator=NAME&model=NAME"
            )
        loaded = load_model(options["generator"], options.get("weights", "published"))
        if loaded.latents is None:
            raise InputError(f"{options['generator']} takes images; it generates none")
        pictures = Latents(loaded.module.eval(), loaded.latents, number)
    else:
        pictures = PictureFolder(Path(place))
    return Segmented(
        pictures,
        options["model"],
        device=options["device"],
        quads=options.get("quads", "") in ("1", "true", "yes"),
    )


_KINDS: dict[str, tuple[Callable[[str, Options], LabelledImages], tuple[str, ...]]] = {
    "broden": (_broden, ("index", "categories")),
    "ade20k": (_ade20k, ("split",)),
    "sceneparsing": (_scene_parsing, ("split",)),
    "coco-panoptic": (_coco_panoptic, ("split",)),
    "coco-stuff": (_coco_stuff, ("split",)),
    "worlds": (_worlds, ()),
    "segmenter": (_segmenter, ("model", "quads", "generator", "weights")),
}
