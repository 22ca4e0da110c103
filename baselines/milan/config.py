"""What a model's ``config.json`` says."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from baselines.features.encoder import EncoderSpec
from baselines.milan.decoding import Decoding
from baselines.milan.specs import MAX_SIZE, DecoderSpec, LanguageModelSpec, VocabularySpec
from milannotations.provenance import TrainingData

FORMAT = 1  # of a model's folder


class ClipSpec(BaseModel):
    """A CLIP model that orders candidates anew; see ``baselines.milan.clip``.

    Attributes:
        model: A folder, or OWNER/NAME of the hub.
        weight: Weight of the similarity of whole images to that of masked ones.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    weight: float = Field(default=0.5, ge=0, le=1)


class MilanSpec(BaseModel):
    """Architecture of a model to be trained, and its search.

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
    """What a model's ``config.json`` says.

    Attributes:
        format: Version of the folder's format.
        encoder: The network whose features are described.
        encoder_identity: Digest of its weights, so that no other is taken for it.
        features: Length of the features.
        k: Exemplars per neuron in training.
        decoder: Sizes of the decoder.
        language_model: Sizes of the language model; None where the model has none.
        vocabulary: How its words were chosen.
        decoding: How it searches unless told otherwise.
        as_original: Set for the authors' checkpoints: behave as their code does also where it is at
            fault, so that captions are the same. It may say nothing, or the start, the padding
            and the unknown word (they are left out of the text), and p(d) counts a second stop.
        training: How it was trained and what came of it, for people.
        clip: The CLIP model that orders candidates anew; None leaves them as they are.
        trained_on: The neurons it has learnt from; None where that is not known.
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
