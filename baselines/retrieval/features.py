"""Masked features: what a pretrained network sees in the part of an image that is masked in."""

from __future__ import annotations

import io
from collections.abc import Sequence

import torch
from datasets import Dataset
from PIL import Image
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.v2 import functional as transforms

from milannotations.catalog.models import LoadedModel
from milannotations.errors import InputError
from milannotations.exemplars.instrument import activations, match_layers, probe
from milannotations.progress import progress_bar
from milannotations.record import encoded_records


class MaskedFeatures:
    """Features of exemplars at several layers, averaged over each exemplar's mask.

    As in MILAN's encoder (MILAN paper, appendix on the captioning model), masks are resized to
    each layer's resolution and normalized to sum to 1; an empty mask counts as the whole image.
    An image that is an exemplar of many neurons goes through the network once.

    Args:
        model: The pretrained network.
        layers: Names or patterns of layers that have activation maps.
        device: Where it runs.
        batch_size: Images per forward pass.

    Raises:
        InputError: If a layer has no activation maps.
    """

    def __init__(
        self,
        model: LoadedModel,
        layers: Sequence[str],
        device: torch.device | str = "cpu",
        batch_size: int = 32,
    ) -> None:
        self.device = device
        self.batch_size = batch_size
        self.preprocessing = model.preprocessing
        self.module = model.module.eval().to(device)
        self.layers = match_layers(model.module, layers)
        height, width = self.preprocessing.shape
        image = torch.zeros(1, len(self.preprocessing.mean), height, width, device=device)
        self.taps = [*probe(self.module, self.layers, (image,), model.layouts).values()]
        pooled = [tap.layer for tap in self.taps if tap.layout.kind == "vector"]
        if pooled:
            raise InputError(
                f"{', '.join(pooled)}: one activation per image, which no mask can be laid over; "
                "choose layers with activation maps"
            )
        self.widths = [tap.units for tap in self.taps]

    def __call__(self, neurons: Dataset) -> Tensor:
        """Return features of shape (neurons, k, sum of the layers' units), float32, on the CPU.

        Raises:
            InputError: If a neuron has no images, or neurons differ in their number of exemplars.
        """
        positions, k = _distinct_images(neurons)
        found = torch.zeros(len(neurons), k, sum(self.widths))
        masks = [record["masks"] for record in encoded_records(neurons, ["masks"])]
        images = list(positions)
        with progress_bar() as progress:
            task = progress.add_task("Encoding exemplars", total=len(images))
            for first in range(0, len(images), self.batch_size):
                batch = images[first : first + self.batch_size]
                maps = self._maps(batch)
                for row, image in enumerate(batch):
                    at = positions[image]
                    weights = torch.stack([_decode_mask(masks[n][i]["bytes"]) for n, i in at])
                    pooled = self._pool([m[row] for m in maps], weights)
                    for (neuron, exemplar), feature in zip(at, pooled, strict=True):
                        found[neuron, exemplar] = feature
                progress.advance(task, len(batch))
        return found

    @torch.inference_mode()
    def _maps(self, encoded: Sequence[bytes]) -> list[Tensor]:
        kept: dict[str, Tensor] = {}
        views = []
        for image in encoded:
            with Image.open(io.BytesIO(image)) as opened:
                views.append(self._view(opened))
        inputs = torch.stack([self.preprocessing.tensor(view) for view in views])
        with activations(
            self.module,
            self.taps,
            lambda layer, maps: kept.update({layer: maps.clone()}),
            stop_early=True,
        ) as run:
            run(inputs.to(self.device))
        return [kept[layer] for layer in self.layers]

    def _view(self, image: Image.Image) -> Image.Image:
        # An exemplar is already what a network saw: cropping it again would shift its mask.
        height, width = self.preprocessing.shape
        image = image.convert("RGB")
        return image if image.size == (width, height) else image.resize((width, height))

    def _pool(self, maps: Sequence[Tensor], masks: Tensor) -> Tensor:
        """Average maps (units, height, width) over masks (uses, height, width)."""
        parts = []
        for image_map in maps:
            weights = functional.interpolate(
                masks[:, None].to(image_map.device), size=image_map.shape[1:], mode="area"
            )[:, 0]
            total = weights.sum((1, 2), keepdim=True)
            weights = torch.where(total > 0, weights, torch.ones_like(weights))
            weights = weights / weights.sum((1, 2), keepdim=True)
            parts.append(torch.einsum("chw,nhw->nc", image_map, weights))
        return torch.cat(parts, dim=1).cpu()


def _distinct_images(neurons: Dataset) -> tuple[dict[bytes, list[tuple[int, int]]], int]:
    """Return where each distinct image stands, as (neuron, exemplar), and the number k of each."""
    positions: dict[bytes, list[tuple[int, int]]] = {}
    counts = set()
    for number, record in enumerate(encoded_records(neurons, ["images"])):
        counts.add(len(record["images"]))
        for exemplar, image in enumerate(record["images"]):
            positions.setdefault(image["bytes"], []).append((number, exemplar))
    if 0 in counts or not counts:
        raise InputError("some neurons have no images; attach the source images first")
    if len(counts) > 1:
        raise InputError(f"neurons have different numbers of exemplars: {sorted(counts)}")
    return positions, counts.pop()


def _decode_mask(encoded: bytes) -> Tensor:
    with Image.open(io.BytesIO(encoded)) as mask:
        return transforms.pil_to_tensor(mask.convert("L"))[0].float() / 255
