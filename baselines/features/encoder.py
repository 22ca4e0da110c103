"""The pyramid encoder: masked averages of a pretrained network's features at several layers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.v2 import functional as transforms

from milannotations.catalog.models import LoadedModel, load_model
from milannotations.errors import InputError
from milannotations.hook_points.hook_point import HookPoint
from milannotations.hook_points.layout import UnusableError
from milannotations.hook_points.matching import find_hook_points
from milannotations.hook_points.reading import activations
from milannotations.inputs.preprocessing import Preprocessing
from milannotations.options import checked
from milannotations.pictures import to_rgb
from milannotations.threads import in_copies
from milannotations.weights_hash import hash_of_weights

Resizing = Literal["bilinear", "area", "none"]
_RESNET = ("conv1", "layer1", "layer2", "layer3", "layer4")


class EncoderSpec(BaseModel):
    """The network, the layers that are read, and how masks are applied to their activation maps.

    >>> EncoderSpec(model="resnet18", layers=("layer4",)).masks
    'bilinear'

    Attributes:
        model: Name of the network; see ``milannotations.catalog.models.load_model``.
        layers: Its layers with activation maps, as PyTorch names them.
        weights: ``published``, ``random``, a file, or ``included``: stored beside the model that
            was trained on these features.
        masks: How a mask is resized to a layer. ``bilinear``, as in MILAN, samples without
            averaging, so small masks vanish at coarse layers; ``area`` averages; ``none`` ignores
            masks.
        empty: Features where a mask is empty at the resolution of a layer: ``zeros``, as in MILAN,
            or those of the ``whole`` image.
        size: Side of the network's input, in pixels; default its own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    layers: tuple[str, ...] = Field(min_length=1)
    weights: str = "published"
    masks: Resizing = "bilinear"
    empty: Literal["zeros", "whole"] = "zeros"
    size: int | None = Field(default=None, ge=8, le=4096)


# MILAN's configurations, and a small network that installs from the package index. The original
# reads AlexNet's maps after the ReLU has changed them in place, which explains the layers.
ENCODERS: dict[str, EncoderSpec] = {
    "alexnet": EncoderSpec(
        model="torchvision:alexnet",
        layers=("features.1", "features.4", "features.7", "features.9", "features.11"),
    ),
    "resnet18": EncoderSpec(model="resnet18", layers=_RESNET),
    "resnet50": EncoderSpec(model="resnet50", layers=_RESNET),
    "resnet101": EncoderSpec(model="resnet101", layers=_RESNET),
    "efficientnet_lite0": EncoderSpec(
        model="efficientnet_lite0",
        layers=("_blocks.2", "_blocks.4", "_blocks.10", "_blocks.15"),
        masks="area",
        empty="whole",
    ),
}


class PyramidEncoder(torch.nn.Module):
    """Features of masked images: masked averages of activation maps, concatenated over layers.

    As in MILAN's encoder (MILAN paper, appendix on the captioning model), a mask is resized to each
    layer and normalized to sum to 1, and the maps of the layer are averaged with the mask as
    weights. The network is frozen.

    Args:
        spec: The network, its layers and the treatment of masks.
        model: The network itself, if it is loaded already.

    Raises:
        InputError: If there is no such network or layer, or a layer has no activation maps.
    """

    def __init__(self, spec: EncoderSpec, model: LoadedModel | None = None) -> None:
        super().__init__()
        loaded = model or load_model(spec.model, spec.weights)
        if loaded.latents is not None:
            raise InputError(f"encoder {spec.model!r} is a generator; choose one that takes images")
        self.spec = spec
        self.preprocessing = _sized(loaded.preprocessing, spec.size)
        self.network = loaded.module.eval().requires_grad_(False)
        height, width = self.preprocessing.shape
        image = torch.zeros(1, len(self.preprocessing.mean), height, width)
        points = find_hook_points(
            self.network, spec.layers, (image,), loaded.layouts, refuses=_without_maps
        )
        self.layers, self.points = [*points], [*points.values()]
        self.widths = [point.units for point in self.points]

    @property
    def width(self) -> int:
        """Length of the features: the number of units in all layers."""
        return sum(self.widths)

    def train(self, mode: bool = True) -> PyramidEncoder:
        """Stay in evaluation mode, so that batch normalization does not learn from exemplars."""
        del mode
        return super().train(False)

    def identity(self) -> dict[str, object]:
        """Return what identifies the features, as JSON.

        A network from a folder may use other activation functions with the same weights, so its
        modules count, too.
        """
        # Some modules print functions with their addresses, which change from run to run.
        modules = re.sub(r" at 0x[0-9a-f]+", "", repr(self.network))
        return {
            **self.spec.model_dump(exclude={"weights"}),
            "layers": self.layers,
            "preprocessing": repr(self.preprocessing),
            "modules": hashlib.sha256(modules.encode()).hexdigest()[:16],
            "weights": hash_of_weights(self.network),
        }

    def tensor(self, image: Image.Image) -> Tensor:
        """Return one exemplar as the network's input, (channels, height, width).

        An exemplar is resized as a whole. It already shows what a network saw, and cropping would
        shift its mask.
        """
        height, width = self.preprocessing.shape
        image = to_rgb(image)
        view = image if image.size == (width, height) else image.resize((width, height))
        return self.preprocessing.tensor(view)

    def inputs(self, images: Tensor) -> Tensor:
        """Return exemplars as the network's inputs, (n, channels, height, width).

        Args:
            images: (n, 3, height, width), uint8 or in [0, 1]. Images of another size are resized by
                torch, whose pixels differ slightly from Pillow's in ``tensor``.
        """
        shape = self.preprocessing.shape
        images = transforms.to_dtype(images, torch.float32, scale=True)
        if len(self.preprocessing.mean) == 1:
            images = transforms.rgb_to_grayscale(images)
        if tuple(images.shape[-2:]) != shape:
            images = transforms.resize(
                images, list(shape), transforms.InterpolationMode.BICUBIC, antialias=True
            ).clamp(0, 1)
        mean, std = list(self.preprocessing.mean), list(self.preprocessing.std)
        return transforms.normalize(images, mean, std)

    @torch.no_grad()
    def forward(self, inputs: Tensor, masks: Tensor | None = None) -> Tensor:
        """Return features of images, one mask each: (n, width).

        Args:
            inputs: Network inputs, (n, channels, height, width); see ``tensor``.
            masks: Weights in [0, 1], (n, height, width); None for whole images.
        """
        if inputs.device.type == "cpu":
            own = [None] * len(inputs) if masks is None else list(masks[:, None])
            images = [image[None].clone() for image in inputs]
            return torch.cat(in_copies(self, _pooled, zip(images, own, strict=True)))
        maps = self.maps(inputs)
        own = [None] * len(inputs) if masks is None else list(masks[:, None])
        return torch.cat([self.pool(maps, n, mask) for n, mask in enumerate(own)])

    @torch.inference_mode()
    def maps(self, inputs: Tensor) -> list[Tensor]:
        """Return the activation maps of each layer, (n, units, height, width), float32."""
        maps: dict[str, Tensor] = {}
        with activations(
            self.network,
            self.points,
            lambda layer, layer_maps: maps.update({layer: layer_maps.float().clone()}),
            stop_early=True,
        ) as run:
            run(inputs)
        return [maps[layer] for layer in self.layers]

    def pool(self, maps: Sequence[Tensor], row: int, masks: Tensor | None) -> Tensor:
        """Average the maps of one image over several masks.

        On the CPU sums are computed in double precision and for each mask separately, so that the
        features of a neuron do not depend on other neurons with the same image.

        Args:
            maps: Maps of a batch, from ``maps``.
            row: Position of the image in the batch.
            masks: (masks, height, width) in [0, 1]; None for the whole image.

        Returns:
            Features of shape (masks, width).
        """
        if masks is None or self.spec.masks == "none":
            whole = torch.cat([m[row].to(_exact(m)).mean((1, 2)).float() for m in maps])
            return whole.expand(1 if masks is None else len(masks), -1)
        features = []
        for image_map in (m[row] for m in maps):
            weights = self._weights(masks, image_map)
            flat = image_map.flatten(1).to(_exact(image_map))
            rows = [flat @ w for w in weights.flatten(1).to(flat)]
            features.append(torch.stack(rows).float())
        return torch.cat(features, dim=1)

    def _weights(self, masks: Tensor, like: Tensor) -> Tensor:
        size = (like.shape[-2], like.shape[-1])
        masks = masks[:, None].float()
        if self.spec.masks == "area":
            weights = functional.interpolate(masks, size=size, mode="area")
        else:
            weights = functional.interpolate(
                masks, size=size, mode="bilinear", align_corners=False, antialias=False
            )
        weights = weights[:, 0].to(like.device)
        total = weights.sum((1, 2), keepdim=True)
        if self.spec.empty == "whole":
            weights = torch.where(total > 0, weights, torch.ones_like(weights))
            total = weights.sum((1, 2), keepdim=True)
        return weights / total.clamp(min=torch.finfo(weights.dtype).tiny)


def _pooled(encoder: PyramidEncoder, exemplar: tuple[Tensor, Tensor | None]) -> Tensor:
    """Return the features of one image, (masks, width)."""
    image, masks = exemplar
    return encoder.pool(encoder.maps(image), 0, masks)


def _exact(values: Tensor) -> torch.dtype:
    """Return the type for sums; only the CPU always has double precision."""
    return torch.float64 if values.device.type == "cpu" else torch.float32


def encoder_spec(
    name: str, layers: Sequence[str] = (), changes: Mapping[str, object] | None = None
) -> EncoderSpec:
    """Return a known configuration, or one for any network and layers.

    >>> encoder_spec("resnet18", changes={"masks": "area"}).layers
    ('conv1', 'layer1', 'layer2', 'layer3', 'layer4')

    Args:
        name: One of ``ENCODERS``, or any model that takes images.
        layers: Layers to read; required unless the encoder is a known one.
        changes: Fields of ``EncoderSpec`` to change.

    Raises:
        InputError: If layers are required and not named.
    """
    preset = ENCODERS.get(name)
    if preset is None and not layers:
        raise InputError(
            f"name the layers of encoder {name!r} that should be read (known without: "
            f"{', '.join(ENCODERS)})"
        )
    fields: dict[str, object] = (
        preset.model_dump() if preset else {"model": name, "masks": "area", "empty": "whole"}
    )
    fields |= {"layers": tuple(layers)} if layers else {}
    return checked(EncoderSpec, {**fields, **(changes or {})}, "encoder")


def _without_maps(point: HookPoint) -> ValueError | None:
    if point.layout.kind != "vector":
        return None
    return UnusableError(
        "without a map", "has one activation per image, which no mask can be laid over"
    )


def _sized(preprocessing: Preprocessing, size: int | None) -> Preprocessing:
    return preprocessing if size is None else replace(preprocessing, size=size, resize=size)
