"""Settings of CLIP-Dissect."""

from __future__ import annotations

from typing import Annotated

from baselines.described_network import DescribedNetworkConfig
from milannotations.describer_config import at_least

TOP_IMAGES = 100  # of the authors' code


class ClipDissectConfig(DescribedNetworkConfig):
    """Settings of CLIP-Dissect.

    >>> ClipDissectConfig(clip="openai/clip-vit-base-patch32").top
    100

    Attributes:
        clip: A CLIP or SigLIP model: a folder, or OWNER/NAME on the hub.
        texts: A file with one text per line; default the annotations of the training neurons.
        images: A folder of probe images; default the neurons' own exemplars.
        top: Images per unit.
        pmi: λ, the weight of log p(c).
        alternatives: How many further texts to name.
        batch_size: Images per forward pass.
        device: Where the models run.
    """

    clip: str
    texts: str | None = None
    images: str | None = None
    top: Annotated[int, at_least(1)] = TOP_IMAGES
    pmi: float = 1.0
    alternatives: Annotated[int, at_least(0)] = 4
    batch_size: Annotated[int, at_least(1)] = 32
    device: str = "auto"
