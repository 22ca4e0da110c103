"""The bounds of the built-in metrics, and which of them are means over neurons.

The metrics take their bounds from here. Results written by others are checked with the same
numbers, without importing the libraries that the metrics need.
"""

from __future__ import annotations

import math

CORRECTED = "-corrected"
_UNIT = (0.0, 1.0)
_BLEU = ("bleu", "bleu-1", "bleu-2", "bleu-3")
_ROUGE = ("rouge-1", "rouge-2", "rouge-l")
_ROUGE_PAIRS = tuple(
    f"{name}-pairs{statistic}" for name in _ROUGE for statistic in ("", "-precision", "-recall")
)
# The value of a corpus metric is not the mean of the neurons' values.
_CORPUS = frozenset((*_BLEU, *_ROUGE_PAIRS))
# The lowest and the highest value that each metric can have.
BOUNDS: dict[str, tuple[float, float]] = {
    **dict.fromkeys(_BLEU, (0.0, 100.0)),
    **dict.fromkeys((*_ROUGE, *_ROUGE_PAIRS), _UNIT),
    **dict.fromkeys(("identification", "identification-accuracy", "identification-mrr"), _UNIT),
    **dict.fromkeys(("meteor", "meteor-stem", "content"), _UNIT),
    "cider": (0.0, 10.0),
    "similarity": (-1.0, 1.0),
    "bertscore": (-math.inf, 1.0),
    "simulation": (-1.0, 1.0),
    "concept-auc": _UNIT,
    "concept-precision": _UNIT,
    "concept-difference": (-math.inf, math.inf),
}


def is_mean_by_name(name: str) -> bool | None:
    """Return whether a built-in metric is a mean over neurons; None for any other metric.

    >>> is_mean_by_name("identification"), is_mean_by_name("bleu-corrected"), is_mean_by_name("x")
    (True, False, None)
    """
    base = name.removesuffix(CORRECTED)
    return base not in _CORPUS if base in BOUNDS else None
