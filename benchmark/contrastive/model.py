"""CLIP, SigLIP and similar models of ``transformers``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from benchmark.contrastive.masked_attention import class_token_in_mask
from milannotations.contents import name_of_model
from milannotations.errors import InputError
from milannotations.pretrained import first_line, load_pretrained, load_processor
from milannotations.threads import in_copies, side_by_side


class ContrastiveModel:
    """Embeds texts and images in one space, where cosine similarity measures how well they match.

    Args:
        name: A folder, or OWNER/NAME on the hub.
        device: Device on which it runs.
        batch_size: Number of texts or images per forward pass.

    Raises:
        InputError: If there is no such model, or it is of another kind.

    Example::

        model = ContrastiveModel("openai/clip-vit-base-patch32")
        similarity = model.texts(["a red dog"]) @ model.images([image]).T
    """

    def __init__(self, name: str, device: torch.device | str = "cpu", batch_size: int = 64) -> None:
        from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

        self.name = name
        self.label = name_of_model(name)
        self.device = torch.device(device)
        self.batch_size = batch_size
        what = "contrastive model"

        self.module = load_pretrained(AutoModel, name, what).to(self.device)
        for method in ("get_text_features", "get_image_features"):
            if not hasattr(self.module, method):
                kind = type(self.module).__name__
                raise InputError(f"{what} {name!r} is a {kind}; name a CLIP or SigLIP model")
        self._images = load_processor(AutoImageProcessor, name, f"image processor of {what}")
        self._tokens = load_processor(AutoTokenizer, name, f"tokenizer of {what}")
        config: Any = self.module.config
        try:
            self.size = int(config.vision_config.image_size)
            self._patches = self.size // int(config.vision_config.patch_size)
            self._longest = int(config.text_config.max_position_embeddings)
        except (AttributeError, TypeError) as error:
            raise InputError(
                f"{what} {name!r} is a {type(self.module).__name__}, whose images or texts have no "
                "fixed size; name a CLIP or SigLIP model"
            ) from error

    @property
    def has_class_token(self) -> bool:
        """Whether images are represented by a class token, whose attention a mask can restrict."""
        embeddings = getattr(self.module.vision_model, "embeddings", None)
        return hasattr(embeddings, "class_embedding")

    def check_masks(self) -> None:
        """Apply a mask to a grey image, so that an unsuitable model is rejected at once.

        Raises:
            InputError: If the class token's attention cannot be restricted.
        """
        grey = Image.new("RGB", (self.size, self.size), (127, 127, 127))
        self.images([grey], torch.ones(1, self.size, self.size))

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> Tensor:
        """Return unit vectors of texts, float32 (texts, width), on the CPU.

        Texts that are longer than the model's limit are truncated.
        """
        vectors = []
        for first in range(0, len(texts), self.batch_size):
            tokens = self._tokens(
                list(texts[first : first + self.batch_size]),
                # SigLIP was trained with padding to its full length, and CLIP ignores padding.
                padding="max_length",
                max_length=self._longest,
                truncation=True,
                return_tensors="pt",
            ).to(self.device)
            if self.device.type == "cpu":
                # One by one, so that a text's vector does not depend on the other texts.
                rows = [
                    {name: values[n, None] for name, values in tokens.items()}
                    for n in range(len(tokens["input_ids"]))
                ]
                vectors += side_by_side(partial(_of_text, self.module), rows)
                continue
            vectors.append(_of_text(self.module, tokens))
        return torch.cat(vectors) if vectors else torch.zeros(0, 1)

    @torch.inference_mode()
    def images(self, images: Sequence[Image.Image], masks: Tensor | None = None) -> Tensor:
        """Return unit vectors of images, float32 (images, width), on the CPU.

        Images are resized, not cropped: an exemplar is already the input that a network saw.

        Args:
            images: RGB images.
            masks: The region of each image to which the attention of the class token is restricted,
                in [0, 1], shape (images, height, width).

        Raises:
            InputError: If masks are given and the model has no class token.
        """
        if masks is not None and not self.has_class_token:
            raise InputError(
                f"{self.name} has no class token whose attention a mask could restrict; take a "
                "CLIP model, or clip_weight=1 to look at whole images only"
            )
        vectors = []
        for first in range(0, len(images), self.batch_size):
            batch = slice(first, first + self.batch_size)
            pixels = self._pixels(images[batch])
            weights = None
            if masks is not None:
                side = (self._patches, self._patches)
                weights = functional.interpolate(masks[batch, None].float(), size=side, mode="area")
                weights = weights.flatten(1).to(self.device)
            if self.device.type == "cpu":
                # One by one, so that an image's vector does not depend on the other images.
                rows = [
                    (p[None].clone(), None if weights is None else weights[n, None])
                    for n, p in enumerate(pixels)
                ]
                vectors += in_copies(self.module, _of_images, rows)
            else:
                vectors.append(_of_images(self.module, (pixels, weights)))
        return torch.cat(vectors) if vectors else torch.zeros(0, 1)

    def _pixels(self, images: Sequence[Image.Image]) -> Tensor:
        try:
            pixels: Tensor = self._images(
                images=list(images),
                size={"height": self.size, "width": self.size},
                do_center_crop=False,
                return_tensors="pt",
            )["pixel_values"]
        except (TypeError, ValueError, KeyError) as error:
            raise InputError(
                f"the image processor of {self.name!r} cannot be used: {first_line(error)}"
            ) from error
        return pixels.to(self.device)


@torch.inference_mode()
def _of_images(module: Any, inputs: tuple[Tensor, Tensor | None]) -> Tensor:
    """Return unit vectors of preprocessed images, optionally with weights of their patches."""
    pixels, weights = inputs
    if weights is None:
        return _vectors(module.get_image_features(pixel_values=pixels))
    with class_token_in_mask(module.vision_model, weights):
        return _vectors(module.get_image_features(pixel_values=pixels))


@torch.inference_mode()
def _of_text(module: Any, tokens: Mapping[str, Tensor]) -> Tensor:
    return _vectors(module.get_text_features(**tokens))


def _vectors(output: Any) -> Tensor:
    """Return unit vectors of a model's output: a tensor or, since version 5, an object."""
    vectors = output if isinstance(output, Tensor) else output.pooler_output
    return functional.normalize(vectors.float(), dim=-1).cpu()
