"""Labelled images by name, as the command line takes them: ``KIND:LOCATION?OPTION=VALUE``.

A function opens each kind of labelled images. Its first argument is the location; its further
arguments are the options, which are texts as well. An argument ``device`` is the device of the
command. ``register`` adds a kind; ``milannotations.registry`` says in which modules it is found.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from urllib.parse import parse_qsl

from baselines.concepts import CONCEPTS_HELP
from baselines.concepts.labelled_images import LabelledImages
from milannotations.errors import InputError, did_you_mean
from milannotations.file_names import shown, utf8
from milannotations.registry import Registry

KINDS: Registry[Callable[..., LabelledImages]] = Registry(
    "kind of labelled images",
    {
        "broden": "baselines.concepts.broden:open_broden",
        "ade20k": "baselines.concepts.ade20k:open_ade20k",
        "sceneparsing": "baselines.concepts.ade20k:open_scene_parsing",
        "coco-panoptic": "baselines.concepts.coco:open_coco_panoptic",
        "coco-stuff": "baselines.concepts.coco:open_coco_stuff",
        "worlds": "baselines.concepts.labelled_scenes:open_worlds",
        "segmenter": "baselines.concepts.segmented:open_segmenter",
    },
    group="milannotations.labelled_images",
    package="baselines.concepts",
)
register = KINDS.register


def open_concepts(name: str, device: str = "auto") -> LabelledImages:
    """Open labelled images by name.

    >>> len(open_concepts("worlds:0:5"))
    5

    Args:
        name: Kind, location and options; see ``CONCEPTS_HELP``.
        device: Where a segmentation model runs.

    Raises:
        InputError: If the name is not written so, or what it names cannot be opened.
    """
    if utf8(name) != name:
        # It is written into reports, whose text is UTF-8.
        raise InputError(f"the name of the labelled images {shown(name)!r} is not UTF-8; rename it")
    kind, _, rest = name.partition(":")
    location, _, query = rest.partition("?")
    if not location or kind not in KINDS:
        raise InputError(
            f"no labelled images are named {name!r}{did_you_mean(kind, KINDS.names())}; "
            f"write {CONCEPTS_HELP}"
        )
    try:
        options = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    except ValueError as error:
        raise InputError(f"labelled images {name!r}: options are written NAME=VALUE") from error
    reader = KINDS.get(kind)
    accepted = list(inspect.signature(reader).parameters)[1:]
    for option in options:
        if option not in accepted or option == "device":
            hint = did_you_mean(option, accepted)
            raise InputError(f"labelled images {name!r}: {kind} has no option {option!r}{hint}")
    return reader(location, **options, **({"device": device} if "device" in accepted else {}))
