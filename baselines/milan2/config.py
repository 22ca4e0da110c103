"""Settings of ``milan-2``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from milannotations.describer_config import DescriberConfig

PROMPT = (
    "What do the bright regions of these pictures have in common? Answer with a short phrase, such "
    "as: red circles"
)


class Milan2Config(DescriberConfig):
    """Settings of ``milan-2``.

    >>> Milan2Config(model="Salesforce/blip-image-captioning-base").pmi
    0.2

    Attributes:
        model: The vision-language model: a folder, or OWNER/NAME on the hub.
        clip: A contrastive model, likewise; without one there is no similarity term.
        prior: ``blank``, or a causal language model, likewise.
        pmi: λ, the weight of log p(d).
        clip_weight: w, the weight of the similarity.
        proposals: Descriptions proposed for each picture.
        pictures: How many exemplars get proposals of their own; chat models see all at once.
        length: Tokens of the longest proposal.
        opacity: How much of an image outside the mask is darkened, from 0 to 1.
        prompt: The question for a model with a chat template.
        alternatives: How many further candidates to name.
        device: Where all models run.
    """

    model: str
    clip: str | None = None
    prior: str = "blank"
    pmi: Annotated[float, Field(ge=0)] = 0.2
    clip_weight: Annotated[float, Field(ge=0)] = 1.0
    proposals: Annotated[int, Field(ge=1)] = 5
    pictures: Annotated[int, Field(ge=1)] = 5
    length: Annotated[int, Field(ge=1)] = 20
    opacity: Annotated[float, Field(ge=0, le=1)] = 0.75
    prompt: str = PROMPT
    alternatives: Annotated[int, Field(ge=0)] = 4
    device: str = "auto"
