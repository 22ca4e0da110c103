"""Any images, labelled by a semantic segmentation model."""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch import nn

from baselines.concepts.dataset_files import sizes
from baselines.concepts.labelled_images import Labels, VisualConcept
from milannotations.catalog.models import load_model
from milannotations.device import resolve_device
from milannotations.errors import InputError
from milannotations.inputs.generators import Latents
from milannotations.inputs.sources import ImageFolder, Pictures, hash_of
from milannotations.numerals import count_of
from milannotations.pictures import read_rgb, to_rgb
from milannotations.pretrained import load_pretrained, load_processor
from milannotations.weights_hash import hash_of_weights

SHAPE = (56, 56)  # 224 / 4, as the published code segments
# To be raised when labels of an older version would differ.
_VERSION = 2
# Models that give masks with a class each, which the image processor combines.
_OF_MASKS = ("maskformer", "mask2former")
_HALVES = ("t", "r", "b", "l")  # of an object: top, right, bottom, left


class PictureFolder:
    """All images below a folder, uncropped; errors are those of ``ImageFolder``.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self._folder = ImageFolder(root)

    def __len__(self) -> int:
        return len(self._folder)

    def image(self, index: int) -> Image.Image:
        """Return a picture, RGB; InputError if it cannot be read."""
        return read_rgb(self._folder.paths[index])

    def name(self, index: int) -> str:
        """Return the path of a picture below the folder."""
        return self._folder.name(index)

    def identity(self) -> dict[str, Any]:
        """Return a hash of the names, sizes and last bytes of all files."""
        return {"files": hash_of(sizes(self._folder.paths, self._folder.root))}

    def check(self) -> list[str]:
        """Return which pictures cannot be read."""
        return self._folder.check()


class Segmented:
    """Images labelled by a model of ``transformers`` with the most likely class of each pixel.

    The number of a label is the model's class number plus 1, as 0 is no label; every pixel has a
    label. A picture that is not square is squashed first, both for the model and as the image, so
    that labels and image cover the same region.

    Args:
        pictures: The images.
        model: A folder or a hub id (weights as safetensors, no code of its own), or a module that
            has ``config.id2label``, with its image processor. A module is called with
            ``pixel_values`` and returns ``logits`` of shape (images, classes, height, width), or
            masks, as MaskFormer does, for the processor's ``post_process_semantic_segmentation``.
        device: Where the model runs.
        batch_size: Images per forward pass.
        shape: Height and width of the label maps.
        quads: Also label the top, right, bottom and left half of each connected region, as
            ``car-t`` and so on, in the category ``part``; regions too small to be cut have none.

    Raises:
        InputError: If the model cannot be loaded, lacks weights, or names no classes.
    """

    def __init__(
        self,
        pictures: Pictures,
        model: str | Path | tuple[nn.Module, Any],
        *,
        device: str = "auto",
        batch_size: int = 8,
        shape: tuple[int, int] = SHAPE,
        quads: bool = False,
    ) -> None:
        if batch_size < 1:
            raise InputError(f"batch size is {batch_size}; it must be at least 1")
        self.pictures = pictures
        module, self._processor = model if isinstance(model, tuple) else _loaded(str(model))
        self._device = resolve_device(device)
        self._module = module.eval().to(self._device)
        self.shape: tuple[int, int] | None = shape
        self._shape, self._batch_size, self._quads = shape, batch_size, quads
        config: Any = module.config
        names = {int(number): str(name) for number, name in config.id2label.items()}
        if not names or min(names) < 0:
            raise InputError(f"segmentation model {model!r} names no classes")
        self._classes = max(names) + 1
        named = [
            (number + 1, names.get(number, f"class {number}"), "object")
            for number in range(self._classes)
        ]
        if quads:
            named += [
                (self._classes * (i + 1) + number, f"{name}-{half}", "part")
                for i, half in enumerate(_HALVES)
                for number, name, _ in named[: self._classes]
            ]
        self.concepts = tuple(
            VisualConcept(name, category, number) for number, name, category in named
        )
        self.categories = ("object", "part") if quads else ("object",)
        self._cache: dict[int, NDArray[np.uint16]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.pictures)

    def image(self, index: int) -> Image.Image:
        """Return a picture, RGB, squashed to a square; errors are those of the pictures."""
        picture = to_rgb(self.pictures.image(index))
        side = max(picture.size)
        return picture if picture.size == (side, side) else picture.resize((side, side))

    def labels(self, index: int) -> Labels:
        """Return the labels of an image: its classes, and with ``quads`` two channels of halves.

        The images of its batch are segmented together.

        Raises:
            InputError: If a picture cannot be read, or the model returns no classes of pixels.
        """
        with self._lock:
            if index not in self._cache:
                # Batches begin at fixed positions, so that rounding depends on nothing else.
                first = index // self._batch_size * self._batch_size
                span = range(first, min(first + self._batch_size, len(self)))
                # Earlier batches may still be needed, as callers read a little ahead.
                near = 4 * self._batch_size
                recent = {i: m for i, m in self._cache.items() if abs(i - first) <= near}
                self._cache = recent | dict(zip(span, self._segment(span), strict=True))
            classes = self._cache[index]
        channels = [classes + 1]
        if self._quads:
            channels += halves(classes, self._classes)
        return Labels(np.stack(channels).astype(np.uint16))

    def name(self, index: int) -> str:
        """Return the picture's own name."""
        return self.pictures.name(index)

    def identity(self) -> dict[str, Any]:
        """Return the identity of the pictures, and hashes of the weights and the preprocessing."""
        settings = self._processor.to_dict() if hasattr(self._processor, "to_dict") else {}
        text = json.dumps(settings, sort_keys=True, default=str)
        return {
            "version": _VERSION,
            "segmented": dict(self.pictures.identity()),
            "weights": hash_of_weights(self._module),
            "preprocessing": hashlib.sha256(text.encode()).hexdigest()[:16],
            "quads": self._quads,
        }

    def check(self) -> list[str]:
        """Return what is wrong with the pictures."""
        check = getattr(self.pictures, "check", None)
        return list(check()) if check else []

    def _segment(self, span: range) -> NDArray[np.uint16]:
        """Return the class of each pixel, from 0, shape (images, height, width)."""
        # The whole picture is segmented, whatever the image processor would crop.
        off = {n: False for n in ("do_center_crop", "do_pad") if getattr(self._processor, n, False)}
        pictures = [self.image(i) for i in span]
        inputs = self._processor(images=pictures, return_tensors="pt", **off)
        if not inputs.get("pixel_mask", torch.ones(1)).all():
            raise InputError("the segmentation model's image processor pads pictures; turn it off")
        with torch.no_grad():
            output = self._module(pixel_values=inputs["pixel_values"].to(self._device))
        if hasattr(output, "masks_queries_logits"):
            join = self._processor.post_process_semantic_segmentation
            classes = torch.stack(join(output, target_sizes=[self._shape] * len(pictures)))
        else:
            logits = output.logits
            if logits.ndim != 4 or logits.shape[1] != self._classes:
                raise InputError(
                    f"the segmentation model gives {tuple(logits.shape)}; logits should be "
                    f"images × {self._classes} classes × height × width"
                )
            classes = nn.functional.interpolate(
                logits.float(), self._shape, mode="bilinear", align_corners=False
            ).argmax(1)
        if int(classes.max()) >= self._classes:
            raise InputError(
                f"the segmentation model gives the class {int(classes.max())}; the highest that "
                f"it names is {self._classes - 1}"
            )
        return np.asarray(classes.cpu().numpy().astype(np.uint16))


def halves(classes: NDArray[np.uint16], count: int) -> list[NDArray[np.uint16]]:
    """Cut each connected region of a class at the middle of its bounding box.

    Pixels that touch at a corner are connected, as in the published code. A region of one row has
    no top and bottom, a region of one column no left and right.

    Args:
        classes: Class of each pixel, from 0, shape (height, width).
        count: Number of classes.

    Returns:
        Codes of the top and bottom halves, and codes of the right and left halves; 0 for neither.
    """
    vertical, horizontal = np.zeros((2, *classes.shape), dtype=np.uint16)
    for value in np.unique(classes):
        regions, _ = ndimage.label(classes == value, structure=np.ones((3, 3)))
        for number, box in enumerate(ndimage.find_objects(regions), start=1):
            rows, columns = box
            region = regions[box] == number
            height, width = region.shape
            code = int(value) + 1
            if height > 1:
                middle = (rows.start + rows.stop) // 2 - rows.start
                codes = vertical[box]
                codes[:middle][region[:middle]] = code + count
                codes[middle:][region[middle:]] = code + 3 * count
            if width > 1:
                middle = (columns.start + columns.stop) // 2 - columns.start
                codes = horizontal[box]
                codes[:, middle:][region[:, middle:]] = code + 2 * count
                codes[:, :middle][region[:, :middle]] = code + 4 * count
    return [vertical, horizontal]


def _loaded(name: str) -> tuple[nn.Module, Any]:
    import transformers

    what = "segmentation model"
    config = load_processor(transformers.AutoConfig, name, what)
    kind: Any = transformers.AutoModelForSemanticSegmentation
    if config.model_type in _OF_MASKS:
        kind = transformers.AutoModelForUniversalSegmentation
    processor = load_processor(transformers.AutoImageProcessor, name, what)
    module = load_pretrained(kind, name, what)
    return module, processor


def open_segmenter(
    images: str,
    model: str = "",
    quads: str = "",
    generator: str = "",
    weights: str = "published",
    device: str = "auto",
) -> Segmented:
    """Open ``segmenter:FOLDER?model=…`` or ``segmenter:generated:COUNT?generator=…&model=…``.

    Args:
        images: A folder of images, or how many images to generate, as ``generated:COUNT``.
        model: The segmentation model; see ``Segmented``.
        quads: ``1``, ``true`` or ``yes`` labels the halves of each region too.
        generator: The model that generates the images.
        weights: The generator's weights; see ``load_model``.
        device: Where the segmentation model runs.

    Raises:
        InputError: If an option is missing, or a model or folder cannot be opened.
    """
    if not model:
        raise InputError(f"labelled images 'segmenter:{images}': add ?model=NAME")
    pictures: Pictures
    kind, _, count = images.partition(":")
    if kind == "generated":
        number = count_of(count)
        if number is None or not generator:
            raise InputError(
                f"labelled images 'segmenter:{images}': write "
                "segmenter:generated:COUNT?generator=NAME&model=NAME"
            )
        loaded = load_model(generator, weights)
        if loaded.latents is None:
            raise InputError(f"{generator} takes images; it generates none")
        pictures = Latents(loaded.module.eval(), loaded.latents, number)
    else:
        pictures = PictureFolder(Path(images))
    in_halves = quads in ("1", "true", "yes")
    return Segmented(pictures, model, device=device, quads=in_halves)
