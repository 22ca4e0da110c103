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

    Attributes:
        batch_size: Descriptions per step of the decoder.
        language_model_batch_size: Descriptions per step of the language model.
        epochs: The most epochs of each of the two.
        patience: Stop after more than this many epochs without improvement.
        hold_out: Fraction of the neurons held out for validation, where none are given for it.
        stop_on: What early stopping of the decoder looks at on the held-out neurons: ``bleu`` of
            greedy descriptions (where it is 0 or tied, the loss decides), or the ``loss``. The
            language model's looks at its loss.
        pmi: λ, the weight of log p(d), that the model uses unless told otherwise; default it is
            chosen on the held-out neurons.
        learning_rate: Of AdamW.
        weight_decay: Of AdamW.
        regularization: Weight of the doubly stochastic term: over a description, each exemplar
            should receive attention of 1 in sum (Xu et al., ICML 2015, section 4.2.1).
        longest: Tokens after which descriptions are cut; they then have no end to learn.
        resample: Draw as many exemplars with replacement from a neuron's own, anew each time it is
            looked at. The paper does not; it keeps small training sets from being learnt by heart.
        min_count: Words that the annotations hold fewer times are unknown words: they are learnt as
            such, and never said.
        lemmatize: Learn words as their lemmas, which is what the model then says; needs a spaCy
            pipeline (extra: language).
        precision: float32, or bfloat16 or float16 (mixed).
        seed: Seed of the split, the initial weights, the order and the dropout.
        threads: Processors of each operation where it is trained on the CPU. Sums are rounded
            differently for each number, and training amplifies it, so the number does not depend
            on the machine; other numbers give other, equally good models.
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
