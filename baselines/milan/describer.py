"""MILAN as a describer: with a trained model, or trained on the neurons it is given."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, ClassVar, get_args

from datasets import Dataset
from pydantic import BaseModel

from baselines.features.encoder import PyramidEncoder, Resizing, encoder_spec
from baselines.milan.clip import BLOCK, ClipReranker, describe_reranked
from baselines.milan.config import ClipSpec
from baselines.milan.decoder import DecoderSpec
from baselines.milan.decoding import VARIANTS, Decoding
from baselines.milan.examples import examples_of
from baselines.milan.language_model import LanguageModelSpec
from baselines.milan.model import Milan
from baselines.milan.training import train
from baselines.milan.training_config import TrainingConfig
from milannotations.data_home import home
from milannotations.describer import Description
from milannotations.device import resolve_device
from milannotations.errors import InputError, did_you_mean
from milannotations.loading import load_split
from milannotations.options import checked, split_names
from milannotations.provenance import TrainingData
from milannotations.record import keys_of

_BLOCK = BLOCK  # neurons whose candidates are reranked at once
_SEARCHING = frozenset(Decoding.model_fields) - {"seed"}


class MilanDescriber:
    """Describe neurons by the sentence of highest pointwise mutual information.

    Without ``model`` one is trained on the neurons given to ``fit``.

    Args:
        model: A trained model: a folder, OWNER/NAME of the hub, a published model of the authors
            (``base``, ``base+clip``), or the URL of such a checkpoint.
        variant: A named way of searching, one of ``VARIANTS``; default the model's own.
        encoder: For training: the network whose features are described; see ``encoder_spec``;
            default resnet101.
        layers: For training: its layers, comma-separated; known encoders have their own.
        masks: How masks are laid over features: ``bilinear``, ``area``, or ``none``, which ignores
            them; default the model's, or in training the encoder's.
        validation: For training: a dataset, with ``validation_split`` one of its splits, for early
            stopping; default a part of the training neurons.
        validation_split: See ``validation``.
        hidden: For training: length of the states of both LSTMs.
        clip: A CLIP model that orders the candidates anew; a folder or OWNER/NAME; default that of
            the model, which ``+clip`` ones have.
        clip_weight: Weight of the similarity of whole images to that of masked ones; see
            ``ClipReranker``; default that of the model, or .5 for one named by ``clip``.
        alternatives: How many further candidates to name.
        batch_size: Neurons decoded at once.
        any_k: 1 to describe neurons with another number of exemplars than in training.
        trust: 1 to load a model whose encoder is code of its own.
        device: Where it runs.
        options: ``strategy``, ``pmi``, ``beam``, ``length`` change the search; the fields of
            ``TrainingConfig`` the training. Without ``variant`` and ``pmi`` a model that is
            trained here chooses λ on the neurons it holds out.
    """

    sees_references: ClassVar[bool] = False
    # What ``options`` may hold.
    option_models: ClassVar[tuple[type[BaseModel], ...]] = (Decoding, TrainingConfig)

    def __init__(
        self,
        model: str | None = None,
        variant: str | None = None,
        encoder: str | None = None,
        layers: str | None = None,
        masks: str | None = None,
        validation: str | None = None,
        validation_split: str | None = None,
        hidden: int | None = None,
        clip: str | None = None,
        clip_weight: float | None = None,
        alternatives: int = 4,
        batch_size: int = 16,
        any_k: int = 0,
        trust: int = 0,
        device: str = "auto",
        **options: Any,
    ) -> None:
        self._device = resolve_device(device)
        searching = {n: options.pop(n) for n in tuple(options) if n in _SEARCHING}
        if "seed" in options:
            searching["seed"] = options["seed"]
        self._training = checked(TrainingConfig, options, "milan")
        if masks not in (None, *get_args(Resizing)):
            raise InputError(f"masks={masks!r}; choose one of {', '.join(get_args(Resizing))}")
        self._variant = named_variant(variant) if variant else None
        self._searching = searching
        # What is wrong with the search is said before anything is loaded or trained.
        self._decoding(self._variant or Decoding())
        self._alternatives = alternatives
        self._batch_size = batch_size
        self._any_k = bool(any_k)
        sizes = {} if hidden is None else {"hidden": hidden}
        self._sizes = (
            checked(DecoderSpec, sizes, "milan"), checked(LanguageModelSpec, sizes, "milan")
        )  # fmt: skip
        self._training.check(self._device)
        self._validation = (validation, validation_split)
        self._given = model is not None
        self._model: Milan | None = None
        self._encoder = None
        if model is not None:
            learning = {
                "encoder": encoder, "layers": layers, "validation": validation, "hidden": hidden,
                **{name: value for name, value in options.items() if name != "seed"},
            }  # fmt: skip
            given = [name for name, value in learning.items() if value is not None]
            if given:
                raise InputError(
                    f"milan: {', '.join(given)} is for training, and model={model!r} is trained "
                    "already; leave out one of the two"
                )
            self._model = Milan.from_pretrained(model, self._device, trust_encoder=bool(trust))
            if masks:
                self._model.use_masks(masks)  # type: ignore[arg-type]
        else:
            names = split_names(layers)
            spec = encoder_spec(encoder or "resnet101", names, {"masks": masks} if masks else None)
            self._encoder = PyramidEncoder(spec)
        weight = {} if clip_weight is None else {"weight": clip_weight}
        usual = self._model.config.clip if self._model else None
        chosen = {"model": clip} if clip else usual.model_dump() if usual else {}
        order = checked(ClipSpec, {**chosen, **weight}, "milan: clip") if chosen else None
        self._clip = ClipReranker(order.model, self._device, order.weight) if order else None

    @property
    def trained_on(self) -> TrainingData | None:
        """The neurons that the model has learnt from, where there is one and that is known."""
        return self._model.trained_on if self._model else None

    def fit(self, neurons: Dataset) -> None:
        """Train on the annotated ones of some neurons; a model that was given stays as it is.

        Raises:
            InputError: If none is annotated, or there are too few.
        """
        if self._given:
            return
        assert self._encoder is not None
        name, split = self._validation
        held = load_split(name, split) if name else None
        learn = examples_of(self._encoder, neurons, self._device)
        validation = examples_of(self._encoder, held, self._device) if held else None
        decoding = self._decoding(self._variant) if self._variant else None
        options = self._training
        if decoding is None and "pmi" in self._searching:
            options = options.model_copy(update={"pmi": float(self._searching["pmi"])})
        with tempfile.TemporaryDirectory() as folder:
            self._model = train(
                learn, self._encoder, Path(folder) / "model",
                options=options, validation=validation, device=self._device,
                decoder=self._sizes[0], language_model=self._sizes[1], decoding=decoding,
            )  # fmt: skip

    def describe(self, neurons: Dataset) -> list[Description]:
        """Describe neurons; the score is what candidates were ordered by.

        Raises:
            InputError: If there is no model yet, or neurons lack images or masks.
        """
        if self._model is None:
            raise InputError(
                "milan has no model: name one with model=, or give it neurons to learn"
            )
        decoding = self._decoding(self._variant or self._model.config.decoding)
        if not len(neurons):
            return []
        self._model.check(neurons, decoding, self._any_k)
        if self._clip is not None:
            self._clip.check(neurons)
        features = self._model.features(neurons, work=home() / "features")
        if self._clip is not None:
            return describe_reranked(
                self._model, neurons, features, decoding, self._clip,
                self._alternatives, self._batch_size, _BLOCK,
            )  # fmt: skip
        return self._model.describe_features(
            keys_of(neurons), features, decoding, self._alternatives, self._batch_size
        )

    def _decoding(self, usual: Decoding) -> Decoding:
        return checked(Decoding, {**usual.model_dump(), **self._searching}, "milan")


def named_variant(name: str) -> Decoding:
    """Return a named way of searching.

    Raises:
        InputError: If there is none of that name.
    """
    if name not in VARIANTS:
        raise InputError(
            f"no variant is named {name!r}{did_you_mean(name, VARIANTS)} (known: "
            f"{', '.join(VARIANTS)})"
        )
    return VARIANTS[name]
