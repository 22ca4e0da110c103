"""Sizes of a model, and how its words are chosen."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

MAX_SIZE = 2**20  # of a layer; the product of two is still a valid number of bytes


class LstmSizes(BaseModel):
    """Sizes that the decoder and the language model share; the defaults are the paper's.

    Attributes:
        embedding: Length of word embeddings.
        hidden: Length of the states of the LSTMs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    embedding: int = Field(default=128, ge=1, le=MAX_SIZE)
    hidden: int = Field(default=512, ge=1, le=MAX_SIZE)


class DecoderSpec(LstmSizes):
    """Sizes of the decoder; the defaults are the paper's.

    Attributes:
        attention: Width of the attention's hidden layer; default the smaller of ``hidden`` and
            the features' length.
        dropout: Dropout before the output layer.
    """

    attention: int | None = Field(default=None, ge=1, le=MAX_SIZE)
    dropout: float = Field(default=0.5, ge=0, lt=1)


class LanguageModelSpec(LstmSizes):
    """Sizes of the language model; the defaults are the paper's.

    Attributes:
        layers: Layers of the LSTM.
        dropout: Dropout between layers and before the output layer.
    """

    layers: int = Field(default=2, ge=1, le=16)
    dropout: float = Field(default=0.5, ge=0, lt=1)


class VocabularySpec(BaseModel):
    """How words are chosen.

    Attributes:
        min_count: How often a word must occur in the annotations to be learned.
        lemmatize: Whether words are replaced by their lemmas.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_count: int = Field(default=1, ge=1)
    lemmatize: bool = False
