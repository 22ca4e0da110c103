"""Any vision model that ``transformers`` knows, from a hub or a local folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from milannotations.errors import InputError
from milannotations.exemplars.sources import Preprocessing

# Models of pictures and texts, of which the vision tower alone is wanted.
_TOWERS = {
    "clip": "CLIPVisionModel",
    "clip_vision_model": "CLIPVisionModel",
    "siglip": "SiglipVisionModel",
    "siglip_vision_model": "SiglipVisionModel",
}
_INTERPOLATION = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}


class _InOrder(nn.Module):
    """A masked autoencoder's encoder that sees all patches, in their order.

    By itself it drops three in four and shuffles the rest, by sorting random numbers.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Any:
        patches: Any = self.model.get_submodule("embeddings.patch_embeddings").num_patches
        order = torch.arange(int(patches), device=pixels.device, dtype=torch.float32)
        return self.model(pixels, noise=order.expand(len(pixels), -1))


def load(name: str, published: bool) -> tuple[nn.Module, Preprocessing]:
    """Load a model; code that comes with it is never run.

    Args:
        name: As on a hub, or a local folder.
        published: With its weights; otherwise random ones.

    Raises:
        InputError: If it cannot be had, or is not of a kind known here.
    """
    import transformers

    place = str(Path(name)) if Path(name).is_dir() else name
    try:
        config = transformers.AutoConfig.from_pretrained(place, trust_remote_code=False)
        processor = transformers.AutoImageProcessor.from_pretrained(
            place, trust_remote_code=False
        )  # fmt: skip
        tower = _TOWERS.get(config.model_type)
        kind = getattr(transformers, tower) if tower else transformers.AutoModel
        if hasattr(config, "mask_ratio"):
            config.mask_ratio = 0.0
        config = getattr(config, "vision_config", config) if tower else config
        if published:
            module = kind.from_pretrained(place, config=config, trust_remote_code=False)
        else:
            module = kind.from_config(config) if kind is transformers.AutoModel else kind(config)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        raise InputError(
            f"model hf:{name} cannot be loaded: {error}\n(a gated model needs `hf auth login` and "
            "its licence accepted; without a connection, name a local folder)"
        ) from error
    made: nn.Module = module
    if config.model_type == "vit_mae":
        made = _InOrder(made)
    return made, preprocessing(processor)


def preprocessing(processor: Any) -> Preprocessing:
    """Return what an image processor of ``transformers`` does to an image.

    Raises:
        InputError: If it does something that is not known here.
    """
    size = _lengths(processor.size)
    crop = _lengths(processor.crop_size) if getattr(processor, "do_center_crop", False) else None
    share = getattr(processor, "crop_pct", None)
    resize: int | tuple[int, int]
    if isinstance(size, int) and share and size < 384:
        # ConvNeXt's: the shorter side is made so much longer, and the middle cut out.
        resize, crop = int(size / share), (size, size)
    elif isinstance(size, int) and share:
        resize = (size, size)
    else:
        resize = size
    if crop is None:
        if isinstance(resize, int):
            raise InputError(
                f"the image processor makes the shorter side {resize} and crops nothing, so "
                "images differ in size; such models cannot be dissected in batches"
            )
        crop = resize
    scaled = bool(getattr(processor, "do_rescale", True))
    normalized = bool(getattr(processor, "do_normalize", True))
    if not scaled:
        raise InputError("the image processor leaves pixels in [0, 255]; that is not known here")
    return Preprocessing(
        size=(crop, crop) if isinstance(crop, int) else crop,
        resize=resize,
        interpolation=_INTERPOLATION[int(processor.resample)],
        mean=tuple(processor.image_mean) if normalized else (0.0,) * 3,
        std=tuple(processor.image_std) if normalized else (1.0,) * 3,
    )


def _lengths(size: Any) -> int | tuple[int, int]:
    shortest = size.get("shortest_edge")
    if shortest:
        return int(shortest)
    return int(size["height"]), int(size["width"])
