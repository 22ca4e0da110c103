"""Settings of the describer ``milan``."""

from __future__ import annotations

from milannotations.describer_config import DescriberConfig


class MilanDescriberConfig(DescriberConfig):
    """Which model describes neurons, or how one is trained, and how descriptions are chosen.

    >>> MilanDescriberConfig(model="base+clip").alternatives
    4

    Attributes:
        model: A trained model: a folder, OWNER/NAME on the hub, a published model of the authors
            (``base``, ``base+clip``), or the URL of such a checkpoint.
        variant: A named search, one of ``VARIANTS``; default the model's own.
        encoder: For training: the network whose features are described; see ``encoder_spec``;
            default resnet101.
        layers: For training: its layers, separated by commas; known encoders have defaults.
        masks: How masks are laid over features: ``bilinear``, ``area``, or ``none``, which ignores
            them; default the model's, or in training the encoder's.
        validation: For training: a dataset, with ``validation_split`` one of its splits, for early
            stopping; default a part of the training neurons.
        validation_split: See ``validation``.
        hidden: For training: length of the states of both LSTMs.
        clip: A CLIP model that reranks the candidates; a folder or OWNER/NAME; default that of the
            model, which ``+clip`` ones have.
        clip_weight: Weight of the similarity of whole images, as opposed to masked ones; see
            ``ClipReranker``; default that of the model, or .5 for one named by ``clip``.
        alternatives: How many further candidates to name.
        batch_size: Neurons decoded at once.
        any_k: 1 to describe neurons with another number of exemplars than in training.
        trust: 1 to load a model whose encoder is code of its own.
        device: Where the model runs.
    """

    model: str | None = None
    variant: str | None = None
    encoder: str | None = None
    layers: str | None = None
    masks: str | None = None
    validation: str | None = None
    validation_split: str | None = None
    hidden: int | None = None
    clip: str | None = None
    clip_weight: float | None = None
    alternatives: int = 4
    batch_size: int = 16
    any_k: int = 0
    trust: int = 0
    device: str = "auto"
