"""Files of metrics, as ``evaluate.load`` copies and imports them."""

from __future__ import annotations

import importlib
from typing import Any

from benchmark.metrics.base import Metric

_COPIES = "evaluate_modules."  # evaluate imports its copies below this package


def evaluate_module(module: str, metric: type[Metric]) -> Any:
    """Return a metric as the class that ``evaluate.load`` looks for in the metric's file.

    Importing evaluate takes as long as importing torch and transformers, so this is None unless
    evaluate itself imports the file.

    Args:
        module: ``__name__`` of the file.
        metric: The metric that the file is named after.
    """
    if not module.startswith(_COPIES):
        return None
    base = importlib.import_module("benchmark.metrics.evaluate_modules").EvaluateModule
    return type(f"{metric.__name__}Module", (base,), {"metric": metric})
