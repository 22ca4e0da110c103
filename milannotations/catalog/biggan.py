"""BigGAN at 256 × 256 pixels, trained on ImageNet and on Places365."""

from __future__ import annotations

from typing import Any

from torch import nn

from milannotations.catalog.biggan_network import BigGAN, convert, for_state
from milannotations.catalog.entry import Entry, State, from_url
from milannotations.exemplars.generators import LatentSpace

LAYERS = tuple(f"layer{index}" for index in range(6))
_IMAGENET = "http://ganocracy.csail.mit.edu/models/tfbiggan_256-a4cf3382.pth"
_PLACES = (
    "http://pretorched-x.csail.mit.edu/gans/BigGAN/"
    "biggan256_G_ema_ch128_places365-6fb66feb.pth"
)  # fmt: skip


def _entry(dataset: str, url: str, **sizes: Any) -> Entry:
    def make(state: State | None) -> nn.Module:
        return BigGAN(**sizes) if state is None else for_state(state)

    return Entry(
        "biggan", dataset, make, LAYERS, url, from_url(url), convert, latents=_latents
    )  # fmt: skip


def _latents(module: nn.Module) -> LatentSpace:
    assert isinstance(module, BigGAN)
    return LatentSpace((module.latent,), module.classes)


ENTRIES = (
    _entry("imagenet", _IMAGENET),
    # The published sizes of the latent and of the embedding, and where attention is, are in a
    # file of their own; with weights they are taken from their shapes.
    _entry("places365", _PLACES, width=128, classes=365, chunk=17, attention=3),
)
