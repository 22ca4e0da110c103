"""Metrics by name, so that commands, boards and suites take the same ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from benchmark.encoders import DEFAULT_BERTSCORE_ENCODER, DEFAULT_SENTENCE_ENCODER
from benchmark.metrics.base import Metric
from benchmark.metrics.corrected import Corrected
from milannotations.errors import InputError, did_you_mean

CORRECTED = "-corrected"


@dataclass(frozen=True)
class Settings:
    """What metrics that read sentences need.

    Attributes:
        bertscore_encoder: See ``benchmark.encoders``.
        sentence_encoder: Likewise, of identification and similarity.
        device: Where they run.
    """

    bertscore_encoder: str = DEFAULT_BERTSCORE_ENCODER
    sentence_encoder: str = DEFAULT_SENTENCE_ENCODER
    device: torch.device | str = "cpu"


def _identification(settings: Settings) -> Metric:
    from benchmark.metrics.identification import Identification

    return Identification(settings.sentence_encoder, settings.device)


def _accuracy(settings: Settings) -> Metric:
    from benchmark.metrics.identification import IdentificationAccuracy

    return IdentificationAccuracy(settings.sentence_encoder, settings.device)


def _rank(settings: Settings) -> Metric:
    from benchmark.metrics.identification import IdentificationRank

    return IdentificationRank(settings.sentence_encoder, settings.device)


def _similarity(settings: Settings) -> Metric:
    from benchmark.metrics.sentence import SentenceSimilarity

    return SentenceSimilarity(settings.sentence_encoder, settings.device)


def _bertscore(settings: Settings) -> Metric:
    from benchmark.metrics.bertscore import BertScore

    return BertScore(settings.bertscore_encoder, settings.device)


def _bleu(order: int) -> Callable[[Settings], Metric]:
    def make(_: Settings) -> Metric:
        from benchmark.metrics.bleu import Bleu

        return Bleu(order)

    return make


def _rouge(_: Settings) -> Metric:
    from benchmark.metrics.rouge import RougeL

    return RougeL()


def _meteor(synonyms: bool) -> Callable[[Settings], Metric]:
    def make(_: Settings) -> Metric:
        from benchmark.metrics.meteor import Meteor

        return Meteor(synonyms)

    return make


def _cider(_: Settings) -> Metric:
    from benchmark.metrics.cider import Cider

    return Cider()


def _content(_: Settings) -> Metric:
    from benchmark.metrics.content import ContentOverlap

    return ContentOverlap()


_MAKERS: dict[str, Callable[[Settings], Metric]] = {
    "identification": _identification,
    "identification-accuracy": _accuracy,
    "identification-mrr": _rank,
    "bleu": _bleu(4),
    "bleu-1": _bleu(1),
    "bleu-2": _bleu(2),
    "bleu-3": _bleu(3),
    "rouge-l": _rouge,
    "meteor": _meteor(True),
    "meteor-stem": _meteor(False),
    "cider": _cider,
    "content": _content,
    "bertscore": _bertscore,
    "similarity": _similarity,
}
# What a board shows unless it is told otherwise, the main number first.
USUAL = ("identification", "bleu", "bertscore")
# All that need no data beyond the encoders.
EVERY = tuple(name for name in _MAKERS if name != "meteor")


def names() -> list[str]:
    """Return the names of all metrics."""
    return [*_MAKERS, *(f"{name}{CORRECTED}" for name in _MAKERS)]


def check_names(wanted: Sequence[str]) -> list[str]:
    """Return names of metrics, ``all`` spelled out, each once.

    >>> check_names(["bleu", "bleu-corrected", "bleu"])
    ['bleu', 'bleu-corrected']

    Raises:
        InputError: If there is none of a name.
    """
    spelled = [n for name in wanted for n in (EVERY if name == "all" else (name,))]
    for name in spelled:
        if name not in names():
            hint = did_you_mean(name, names())
            raise InputError(
                f"no metric is named {name!r}{hint} (metrics: {', '.join(_MAKERS)}; each also "
                f"with {CORRECTED}; all)"
            )
    return list(dict.fromkeys(spelled))


def make_metrics(wanted: Sequence[str], settings: Settings) -> list[Metric]:
    """Make metrics by name; ``<name>-corrected`` is the chance-corrected one.

    Raises:
        InputError: If there is none of a name, or one cannot be made.
    """
    plain: dict[str, Metric] = {}
    made = []
    for name in check_names(wanted):
        base = name.removesuffix(CORRECTED)
        if base not in plain:
            plain[base] = _MAKERS[base](settings)
        made.append(Corrected(plain[base]) if name != base else plain[base])
    return made
