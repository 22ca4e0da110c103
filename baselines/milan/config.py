"""The configuration of a model, which ``config.json`` holds."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from baselines.features.encoder import EncoderSpec
from baselines.milan.decoding import Decoding
from baselines.milan.specs import MAX_SIZE, DecoderSpec, LanguageModelSpec, VocabularySpec
from milannotations.provenance import TrainingData

FORMAT = 1  # of a model's folder


class ClipSpec(BaseModel):
    """A CLIP model that reranks candidates; see ``baselines.milan.clip``.

    Attributes:
        model: A folder, or OWNER/NAME on the hub.
        weight: Weight w of the similarity of whole images; 1 − w is that of masked images.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    weight: float = Field(default=0.5, ge=0, le=1)


class MilanSpec(BaseModel):
    """Architecture of a model to be trained, and its search.

    >>> MilanSpec().decoder.hidden
    512

    Attributes:
        decoder: Sizes of the decoder.
        language_model: Sizes of the language model; None trains none, and mutual information is
            then not available.
        decoding: The search of the trained model; default the paper's, with the λ that
            ``TrainingConfig.pmi`` sets or that is chosen on the neurons held out; see
            ``baselines.milan.pmi_weight``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    decoder: DecoderSpec = DecoderSpec()
    language_model: LanguageModelSpec | None = LanguageModelSpec()
    decoding: Decoding | None = None


class MilanConfig(BaseModel):
    """Configuration of a model.

    >>> encoder = EncoderSpec(model="resnet18", layers=("layer4",))
    >>> MilanConfig(encoder=encoder, features=512, k=15).decoding.pmi
    0.2

    Attributes:
        format: Version of the folder's format.
        encoder: The network whose features are described.
        encoder_identity: Hash of its weights, by which another encoder is refused.
        features: Length of the features.
        k: Exemplars per neuron in training.
        decoder: Sizes of the decoder.
        language_model: Sizes of the language model; None if the model has none.
        vocabulary: How the words were chosen.
        decoding: The default search.
        as_original: True for checkpoints of the authors: follow the original code even in its
            errors, so that captions are identical. Captions may then be empty or contain the start,
            the padding and the unknown word (which are removed from the text), and p(d) counts a
            second stop.
        training: How the model was trained, and the results, for people.
        clip: The CLIP model that reranks candidates; None for no reranking.
        trained_on: The neurons that the model was trained on; None if unknown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    encoder: EncoderSpec
    encoder_identity: str = ""
    features: int = Field(ge=1, le=MAX_SIZE)
    k: int = Field(ge=1)
    decoder: DecoderSpec = DecoderSpec()
    language_model: LanguageModelSpec | None = LanguageModelSpec()
    vocabulary: VocabularySpec = VocabularySpec()
    decoding: Decoding = Decoding()
    as_original: bool = False
    training: dict[str, Any] = {}
    clip: ClipSpec | None = None
    trained_on: TrainingData | None = None
