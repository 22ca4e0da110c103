"""MILAN as a describer: with a trained model, or trained on the given neurons."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, get_args

from datasets import Dataset
from pydantic import BaseModel

from baselines.features.encoder import PyramidEncoder, Resizing, encoder_spec
from baselines.milan.clip import BLOCK, ClipReranker, describe_reranked
from baselines.milan.config import ClipSpec, MilanSpec
from baselines.milan.decoder import DecoderSpec
from baselines.milan.decoding import VARIANTS, Decoding
from baselines.milan.describer_config import MilanDescriberConfig
from baselines.milan.examples import examples_of
from baselines.milan.language_model import LanguageModelSpec
from baselines.milan.model import Milan
from baselines.milan.training import train
from baselines.milan.training_config import TrainingConfig
from milannotations.data_home import home
from milannotations.describer import Description
from milannotations.describer_config import ConfiguredDescriber
from milannotations.device import resolve_device
from milannotations.errors import InputError, did_you_mean
from milannotations.loading import load_split
from milannotations.options import checked, split_names
from milannotations.provenance import TrainingData
from milannotations.record import keys_of

_BLOCK = BLOCK  # neurons whose candidates are reranked at once
_SEARCHING = frozenset(Decoding.model_fields) - {"seed"}
# Settings that are only used in training.
_FOR_TRAINING = ("encoder", "layers", "validation", "hidden")


class MilanDescriber(ConfiguredDescriber[MilanDescriberConfig]):
    """Describe neurons by the sentence of highest pointwise mutual information.

    Without ``model`` one is trained on the neurons given to ``fit``. The settings are those of
    ``MilanDescriberConfig``. Further options ``strategy``, ``pmi``, ``beam`` and ``length`` change
    the search, and the fields of ``TrainingConfig`` the training. Without ``variant`` and ``pmi``,
    λ is chosen on the neurons that the training holds out.

    >>> MilanDescriber(model="base").describe(neurons)  # doctest: +SKIP
    """

    sees_references: ClassVar[bool] = False
    config_type = MilanDescriberConfig
    # The further options.
    option_models: ClassVar[tuple[type[BaseModel], ...]] = (Decoding, TrainingConfig)

    def __init__(self, config: MilanDescriberConfig | None = None, /, **options: Any) -> None:
        own = {n: options.pop(n) for n in MilanDescriberConfig.model_fields if n in options}
        super().__init__(config, **own)
        config = self.config
        self._device = resolve_device(config.device)
        self._searching = {n: options.pop(n) for n in tuple(options) if n in _SEARCHING}
        if "seed" in options:
            self._searching["seed"] = options["seed"]
        self._training = checked(TrainingConfig, options, "milan")
        if config.masks not in (None, *get_args(Resizing)):
            choices = ", ".join(get_args(Resizing))
            raise InputError(f"masks={config.masks!r}; choose one of {choices}")
        self._variant = named_variant(config.variant) if config.variant else None
        # An invalid search is reported before anything is loaded or trained.
        self._decoding(self._variant or Decoding())
        sizes = {} if config.hidden is None else {"hidden": config.hidden}
        self._spec = MilanSpec(
            decoder=checked(DecoderSpec, sizes, "milan"),
            language_model=checked(LanguageModelSpec, sizes, "milan"),
        )
        self._training.check(self._device)
        self._model: Milan | None = None
        self._encoder: PyramidEncoder | None = None
        if config.model is not None:
            self._model = self._loaded(config.model, options)
        else:
            names = split_names(config.layers)
            changes = {"masks": config.masks} if config.masks else None
            spec = encoder_spec(config.encoder or "resnet101", names, changes)
            self._encoder = PyramidEncoder(spec)
        self._clip = self._reranker()

    def _loaded(self, name: str, training: Mapping[str, Any]) -> Milan:
        """Load a trained model; InputError if there are options of training."""
        config = self.config
        options = {**{n: getattr(config, n) for n in _FOR_TRAINING}, **training, "seed": None}
        useless = [option for option, value in options.items() if value is not None]
        if useless:
            raise InputError(
                f"milan: {', '.join(useless)} is for training, and model={name!r} is trained "
                "already; leave out one of the two"
            )
        model = Milan.from_pretrained(name, self._device, trust_encoder=bool(config.trust))
        if config.masks:
            model.use_masks(config.masks)  # type: ignore[arg-type]
        return model

    def _reranker(self) -> ClipReranker | None:
        config = self.config
        usual = self._model.config.clip if self._model else None
        chosen = {"model": config.clip} if config.clip else usual.model_dump() if usual else {}
        if not chosen:
            return None
        weight = {} if config.clip_weight is None else {"weight": config.clip_weight}
        spec = checked(ClipSpec, {**chosen, **weight}, "milan: clip")
        return ClipReranker(spec.model, self._device, spec.weight)

    @property
    def trained_on(self) -> TrainingData | None:
        """The neurons that the model was trained on; None if unknown, or before training."""
        return self._model.trained_on if self._model else None

    def fit(self, neurons: Dataset) -> None:
        """Train on the annotated neurons; a trained model stays as it is.

        Raises:
            InputError: If no neuron is annotated, or too few are.
        """
        if self._encoder is None:
            return
        name = self.config.validation
        held = load_split(name, self.config.validation_split) if name else None
        learn = examples_of(self._encoder, neurons, self._device)
        validation = examples_of(self._encoder, held, self._device) if held else None
        decoding = self._decoding(self._variant) if self._variant else None
        options = self._training
        if decoding is None and "pmi" in self._searching:
            options = options.model_copy(update={"pmi": float(self._searching["pmi"])})
        with tempfile.TemporaryDirectory() as folder:
            self._model = train(
                learn,
                self._encoder,
                Path(folder) / "model",
                options=options,
                spec=self._spec.model_copy(update={"decoding": decoding}),
                validation=validation,
                device=self._device,
            )

    def describe(self, neurons: Dataset) -> list[Description]:
        """Describe neurons; the score is the one by which candidates are ordered.

        Raises:
            InputError: If there is no model yet, or neurons lack images or masks.
        """
        if self._model is None:
            raise InputError(
                "milan has no model: name one with model=, or give it neurons to learn from"
            )
        decoding = self._decoding(self._variant or self._model.config.decoding)
        if not len(neurons):
            return []
        self._model.check(neurons, decoding, bool(self.config.any_k))
        if self._clip is not None:
            self._clip.check(neurons)
        features = self._model.features(neurons, work=home() / "features")
        if self._clip is not None:
            return describe_reranked(
                self._model,
                neurons,
                features,
                decoding,
                self._clip,
                self.config.alternatives,
                self.config.batch_size,
                _BLOCK,
            )
        return self._model.describe_features(
            keys_of(neurons), features, decoding, self.config.alternatives, self.config.batch_size
        )

    def _decoding(self, usual: Decoding) -> Decoding:
        return checked(Decoding, {**usual.model_dump(), **self._searching}, "milan")


def named_variant(name: str) -> Decoding:
    """Return a named search.

    Raises:
        InputError: If there is no variant of that name.
    """
    if name not in VARIANTS:
        raise InputError(
            f"no variant is named {name!r}{did_you_mean(name, VARIANTS)} (known: "
            f"{', '.join(VARIANTS)})"
        )
    return VARIANTS[name]
