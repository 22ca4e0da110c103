"""Explanations that are kept between runs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from baselines.compexp.explanation import Explanation, ExplanationCache
from milannotations.storage.names import lock_file


def test_what_a_killed_process_left_beside_a_complete_file_goes(tmp_path: Path) -> None:
    numbers = np.arange(2)
    tally: Any = SimpleNamespace(
        counts=SimpleNamespace(indptr=numbers, indices=numbers, data=numbers)
    )
    explanation = Explanation(
        unit=3, formula="(red OR blue)", english="red or blue", category="(color OR color)",
        iou=0.5, length=2, single="red", single_category="color", single_iou=0.4,
    )  # fmt: skip
    cache = ExplanationCache(tmp_path, tally, {"length": 2})
    cache.add([explanation])
    lock_file(cache.path).touch()
    assert ExplanationCache(tmp_path, tally, {"length": 2}).explanations == {3: explanation}
    assert [path.name for path in tmp_path.iterdir()] == [cache.path.name]
