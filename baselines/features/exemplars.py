"""The distinct images among the exemplars of neurons, and where each is used."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import torch
from datasets import Dataset
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from milannotations.errors import InputError
from milannotations.pictures import opened, read_rgb
from milannotations.record import NeuronKey, encoded_records, key_of

Use = tuple[int, int]  # the row of a neuron, and the position of the exemplar in it
_READERS = 4  # threads that decode images


class DistinctExemplars:
    """The exemplars of neurons, with each distinct image once.

    Only masks and positions are held in memory; images are read when they are needed.

    Args:
        neurons: Records with images, all with the same number of exemplars.
        masks: Whether their masks are needed.

    Attributes:
        k: Exemplars per neuron.
        uses: For each distinct image, where it is used.
        content: Hash of all images and masks.

    Raises:
        InputError: If a neuron lacks images or masks, or neurons have different numbers of them.
    """

    def __init__(self, neurons: Dataset, masks: bool = True) -> None:
        uses: dict[bytes, list[Use]] = {}
        content = hashlib.sha256()
        self._masks: list[list[bytes]] = []
        counts: set[int] = set()
        columns = ["model", "dataset", "layer", "unit", "images", "masks"]
        for row, record in enumerate(encoded_records(neurons, columns)):
            images = record["images"]
            if not images:
                raise InputError(
                    f"neuron {key_of(record)} has no images; attach the source images first "
                    "(milannotations attach-images)"
                )
            if any(
                image["bytes"] is None for image in [*images, *(record["masks"] if masks else [])]
            ):
                raise InputError(
                    f"neuron {key_of(record)} has images or masks that are only named, not stored; "
                    "write the records with `milannotations build` or attach-images"
                )
            counts.add(len(images))
            for position, image in enumerate(images):
                digest = hashlib.blake2b(image["bytes"], digest_size=16).digest()
                content.update(digest)
                uses.setdefault(digest, []).append((row, position))
            if masks:
                if len(record["masks"]) != len(images):
                    raise InputError(
                        f"neuron {key_of(record)} has {len(images)} images and "
                        f"{len(record['masks'])} masks; there must be one for each image, or take "
                        "masks=none"
                    )
                encoded = [mask["bytes"] for mask in record["masks"]]
                content.update(
                    b"".join(hashlib.blake2b(m, digest_size=16).digest() for m in encoded)
                )
                self._masks.append(encoded)
        if not counts:
            raise InputError("there are no neurons")
        if len(counts) > 1:
            raise InputError(f"neurons have different numbers of exemplars: {sorted(counts)}")
        self.k = counts.pop()
        self.uses = list(uses.values())
        self.content = content.hexdigest()[:32]
        self._keys = neurons.select_columns(list(NeuronKey._fields))
        self._images = neurons.select_columns(["images"]).with_format("arrow")

    def __len__(self) -> int:
        return len(self.uses)

    def batches(self, size: int, start: int = 0) -> Iterator[tuple[range, list[Image.Image]]]:
        """Yield the distinct images in batches, decoded in several threads.

        Args:
            size: Images per batch.
            start: Number of the first image.

        Yields:
            The numbers of the images, and the images.

        Raises:
            InputError: If an image is damaged; the message names a neuron that has it.
        """
        with ThreadPoolExecutor(_READERS) as pool:
            for first in range(start, len(self), size):
                numbers = range(first, min(first + size, len(self)))
                yield numbers, list(pool.map(self._image, numbers))

    def masks(self, number: int) -> Tensor:
        """Return the masks of all uses of a distinct image, float32 (uses, height, width).

        Raises:
            InputError: If a mask is damaged, or masks differ in size; the message names the neuron.
        """
        masks: list[Tensor] = []
        for row, position in self.uses[number]:
            masks.append(_mask(self._masks[row][position], self._title("mask", row, position)))
            if masks[-1].shape != masks[0].shape:
                raise InputError(
                    f"mask {position} of neuron {key_of(self._keys[row])} is of another size than "
                    "another neuron's mask of the same image"
                )
        return torch.stack(masks)

    def _image(self, number: int) -> Image.Image:
        row, position = self.uses[number][0]
        encoded = self._images[row]["images"][0][position]["bytes"].as_py()
        return read_rgb(encoded, self._title("exemplar", row, position))

    def _title(self, what: str, row: int, position: int) -> str:
        return f"{what} {position} of neuron {key_of(self._keys[row])}"


def _mask(encoded: bytes, title: str) -> Tensor:
    with opened(encoded, title) as mask:
        return transforms.pil_to_tensor(mask.convert("L"))[0].float() / 255
