"""What is known of a metric by its name alone, without loading the libraries that it needs.

A result of others is looked at with this: between which values a number must lie, and whether it
is the mean of the neurons' own values. A test holds both against the metrics themselves.
"""

from __future__ import annotations

import math

CORRECTED = "-corrected"
_ROUGE = ("1", "2", "l")
_ONE = (0.0, 1.0)

# Corpus metrics: their value is no mean of values per neuron.
_CORPUS = frozenset(
    {"bleu", "bleu-1", "bleu-2", "bleu-3"}
    | {f"rouge-{variant}-pairs{end}" for variant in _ROUGE
       for end in ("", "-precision", "-recall")}
)  # fmt: skip
BOUNDS: dict[str, tuple[float, float]] = {
    **dict.fromkeys(_CORPUS, _ONE),
    **dict.fromkeys(("bleu", "bleu-1", "bleu-2", "bleu-3"), (0.0, 100.0)),
    **dict.fromkeys(("identification", "identification-accuracy", "identification-mrr"), _ONE),
    **dict.fromkeys(("meteor", "meteor-stem", "content"), _ONE),
    **{f"rouge-{variant}": _ONE for variant in _ROUGE},
    "cider": (0.0, 10.0),
    "similarity": (-1.0, 1.0),
    "bertscore": (-math.inf, 1.0),
    "simulation": (-1.0, 1.0),
    "concept-auc": _ONE,
    "concept-precision": _ONE,
    "concept-difference": (-math.inf, math.inf),
}


def is_mean_by_name(name: str) -> bool | None:
    """Say whether a metric is a mean over neurons; None if its name is not known here.

    >>> is_mean_by_name("identification"), is_mean_by_name("bleu-corrected"), is_mean_by_name("x")
    (True, False, None)
    """
    base = name.removesuffix(CORRECTED)
    return base not in _CORPUS if base in BOUNDS else None
