"""BigGAN at 256 × 256 pixels, trained on ImageNet and on Places365."""

from __future__ import annotations

from torch import nn

from milannotations.catalog.biggan_network import BigGAN, convert, for_state
from milannotations.catalog.entry import CatalogEntry, State, from_url
from milannotations.inputs.generators import LatentSpace

LAYERS = tuple(f"layer{index}" for index in range(6))
_IMAGENET = "http://ganocracy.csail.mit.edu/models/tfbiggan_256-a4cf3382.pth"
_PLACES = (
    "http://pretorched-x.csail.mit.edu/gans/BigGAN/biggan256_G_ema_ch128_places365-6fb66feb.pth"
)


def _entry(dataset: str, url: str, epsilon: float, **sizes: int) -> CatalogEntry:
    def make(state: State | None) -> nn.Module:
        try:
            if state is not None:
                return for_state(state, epsilon)
        except (KeyError, IndexError, ValueError):
            # Weights of another network: loading them reports what does not fit.
            pass
        return BigGAN(**sizes, epsilon=epsilon)

    return CatalogEntry(
        "biggan", dataset, make, LAYERS, url, from_url(url), convert, latents=_latents
    )


def _latents(module: nn.Module) -> LatentSpace:
    assert isinstance(module, BigGAN)
    return LatentSpace((module.latent,), module.classes)


ENTRIES = (
    _entry("imagenet", _IMAGENET, 1e-4),
    # The configuration is in a second file, with objects that are not tensors. The sizes of the
    # latent and the embedding, and the position of attention, are therefore read from the shapes of
    # the weights. Those here, for random weights, and epsilon are of the public training scripts.
    _entry("places365", _PLACES, 1e-5, width=128, classes=365, chunk=17, attention=3),
)
