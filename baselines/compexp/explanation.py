"""The result of a search for one unit, and the file that keeps the results of a layer."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from baselines.concepts.tally import Tally
from milannotations.errors import InputError
from milannotations.json_files import read_json
from milannotations.notices import notify
from milannotations.reading import is_there
from milannotations.storage import atomic_path
from milannotations.storage.tidying import tidy_up


class Explanation(BaseModel):
    """The best formula found for a unit.

    Attributes:
        unit: The unit.
        formula: In the notation of the original, such as ``(river OR (NOT water))``; ``NONE`` for
            a unit that no label overlaps.
        english: The same in words.
        category: The formula with the labels' categories in place of their names.
        iou: Its IoU, in [0, 1].
        length: Number of labels in it.
        alternatives: Further formulas and their IoU, best first.
        single: The best single label.
        single_category: Its category.
        single_iou: Its IoU.
        proved: Whether it is proved that no formula of that length has a greater IoU; None without
            an attempt at a proof.
        bound: An IoU that no formula of that length exceeds; None without an attempt at a proof.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    unit: int = Field(ge=0)
    formula: str
    english: str
    category: str
    iou: float = Field(ge=0, le=1)
    length: int = Field(ge=0)
    alternatives: tuple[tuple[str, float], ...] = ()
    single: str
    single_category: str
    single_iou: float = Field(ge=0, le=1)
    proved: bool | None = None
    bound: float | None = None


class ExplanationCache:
    """Explanations of one layer in a file.

    Args:
        folder: Folder of such files.
        tally: The layer.
        identity: What else the explanations depend on, as JSON.

    Attributes:
        path: The file.
        explanations: By unit.
    """

    def __init__(self, folder: Path, tally: Tally, identity: dict[str, Any]) -> None:
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode())
        for array in (tally.counts.indptr, tally.counts.indices, tally.counts.data):
            digest.update(array.astype("<i8").tobytes())
        self.path = folder / f"formulas-{digest.hexdigest()[:16]}.json"
        self.explanations: dict[int, Explanation] = {}
        tidy_up(self.path)  # what a process left that was killed when its file was complete
        if not is_there(self.path):
            return
        try:
            plain = read_json(self.path, list)
            self.explanations = {e.unit: e for e in map(Explanation.model_validate, plain)}
        except InputError as error:
            notify(f"{error}; the units are explained again")
        except ValidationError:
            self.explanations = {}  # of another version

    def add(self, explanations: list[Explanation]) -> None:
        """Add explanations and write the file, atomically."""
        self.explanations |= {explanation.unit: explanation for explanation in explanations}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(self.path) as path:
            plain = [self.explanations[unit].model_dump() for unit in sorted(self.explanations)]
            path.write_text(json.dumps(plain), encoding="utf-8")
