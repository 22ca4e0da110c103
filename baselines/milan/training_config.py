"""How a MILAN is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from baselines.milan.specs import VocabularySpec
from milannotations.errors import InputError

if TYPE_CHECKING:
    import torch


class TrainingConfig(BaseModel):
    """Settings of the training; the defaults are the paper's and the original code's.

    >>> TrainingConfig(epochs=5).batch_size
    64

    Attributes:
        batch_size: Descriptions per step of the decoder.
        language_model_batch_size: Descriptions per step of the language model.
        epochs: Maximum number of epochs, of the decoder and of the language model.
        patience: Stop after more than this many epochs without improvement.
        hold_out: Fraction of the neurons held out for validation, unless validation neurons are
            given.
        stop_on: Criterion of early stopping of the decoder on the held-out neurons: ``bleu`` of
            greedy descriptions (where it is 0 or tied, the loss decides), or the ``loss``. For the
            language model it is always the loss.
        pmi: λ, the weight of log p(d), of the trained model; default it is chosen on the held-out
            neurons.
        learning_rate: Learning rate of AdamW.
        weight_decay: Weight decay of AdamW.
        regularization: Weight of the doubly stochastic term: the attention that each exemplar
            receives over a description should sum to 1 (Xu et al., ICML 2015, section 4.2.1).
        longest: Descriptions are cut off after this many tokens, without a stop.
        resample: Draw the exemplars of a neuron anew, with replacement, in each step. The paper
            does not; it keeps small training sets from being memorized.
        min_count: Words that occur less often in the annotations are learned as the unknown word,
            which is never generated.
        lemmatize: Learn, and generate, the lemmas of words; needs a spaCy pipeline (extra:
            language).
        precision: float32, or bfloat16 or float16 (mixed).
        seed: Seed of the split, the initial weights, the order and the dropout.
        threads: Threads of each operation in training on the CPU. The number affects the rounding
            of sums, which training amplifies, so it does not depend on the machine; other numbers
            give other, equally good models.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch_size: int = Field(default=64, ge=1)
    language_model_batch_size: int = Field(default=128, ge=1)
    epochs: int = Field(default=100, ge=1)
    patience: int = Field(default=4, ge=0)
    hold_out: float = Field(default=0.1, gt=0, lt=1)
    stop_on: Literal["bleu", "loss"] = "bleu"
    pmi: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-2, ge=0)
    regularization: float = Field(default=1.0, ge=0)
    longest: int = Field(default=50, ge=1)
    resample: bool = False
    min_count: int = Field(default=1, ge=1)
    lemmatize: bool = False
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    seed: int = Field(default=0, ge=0, lt=2**32)
    threads: int = Field(default=1, ge=1, le=1024)

    @property
    def vocabulary(self) -> VocabularySpec:
        """How words are chosen."""
        return VocabularySpec(min_count=self.min_count, lemmatize=self.lemmatize)

    def check(self, device: torch.device | str) -> None:
        """Raise InputError if the precision is not for this device."""
        if self.precision == "float16" and not str(device).startswith("cuda"):
            raise InputError("float16 is for CUDA; take bfloat16 or float32 on other devices")
