"""Which distinct images the exemplars of neurons are, and where each is used."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from datasets import Dataset
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from milannotations.errors import InputError
from milannotations.pictures import opened, read_rgb
from milannotations.record import NeuronKey, encoded_records, key_of

Use = tuple[int, int]  # a neuron's row, and the exemplar's place in it


class DistinctExemplars:
    """The exemplars of neurons, each distinct image once.

    Only masks and places are held in memory; images are read when they are asked for.

    Args:
        neurons: Records with images, all with the same number of exemplars.
        masks: Whether their masks are needed.

    Raises:
        InputError: If a neuron lacks images or masks, or their numbers differ.
    """

    def __init__(self, neurons: Dataset, masks: bool = True) -> None:
        places: dict[bytes, list[Use]] = {}
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
            for place, image in enumerate(images):
                digest = hashlib.blake2b(image["bytes"], digest_size=16).digest()
                content.update(digest)
                places.setdefault(digest, []).append((row, place))
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
            raise InputError("there are no neurons to look at")
        if len(counts) > 1:
            raise InputError(f"neurons have different numbers of exemplars: {sorted(counts)}")
        self.k = counts.pop()
        self.uses = list(places.values())
        self.content = content.hexdigest()[:32]
        self._keys = neurons.select_columns(list(NeuronKey._fields))
        self._images = neurons.select_columns(["images"]).with_format("arrow")

    def __len__(self) -> int:
        return len(self.uses)

    def images(self, numbers: Sequence[int], pool: ThreadPoolExecutor) -> Iterator[Image.Image]:
        """Yield distinct images, decoded in several threads, in the order asked for.

        Raises:
            InputError: If one is damaged; names a neuron that has it.
        """
        return pool.map(self._image, numbers)

    def masks(self, number: int) -> Tensor:
        """Return the masks of all uses of a distinct image, float32 (uses, height, width).

        Raises:
            InputError: If one is damaged, or they are of different sizes; names the neuron.
        """
        found: list[Tensor] = []
        for row, place in self.uses[number]:
            found.append(_mask(self._masks[row][place], self._title("mask", row, place)))
            if found[-1].shape != found[0].shape:
                raise InputError(
                    f"mask {place} of neuron {key_of(self._keys[row])} is of another size than "
                    "another neuron's mask of the same image"
                )
        return torch.stack(found)

    def _image(self, number: int) -> Image.Image:
        row, place = self.uses[number][0]
        encoded = self._images[row]["images"][0][place]["bytes"].as_py()
        return read_rgb(encoded, self._title("exemplar", row, place))

    def _title(self, what: str, row: int, position: int) -> str:
        return f"{what} {position} of neuron {key_of(self._keys[row])}"


def _mask(encoded: bytes, title: str) -> Tensor:
    with opened(encoded, title) as mask:
        return transforms.pil_to_tensor(mask.convert("L"))[0].float() / 255
