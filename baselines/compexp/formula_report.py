"""Formulas of a network's units as tables, JSON, a figure and a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from baselines.compexp.explanation import Explanation
from baselines.concepts.dissection_report import (
    ReportProvenance,
    file_names,
    save_report,
    save_table,
)
from baselines.concepts.figures import iou_by_length
from baselines.concepts.label_text import plain
from baselines.concepts.page import UnitRow, render

_COLUMNS = (
    "unit", "category", "label", "score", "length", "category_noncomp", "label_noncomp",
    "score_noncomp", "english", "proved", "bound",
)  # fmt: skip
BAR = 0.04


class FormulaLayer(BaseModel):
    """One layer and its units."""

    model_config = ConfigDict(extra="forbid")

    layer: str
    units: list[Explanation]


class Explanations(ReportProvenance):
    """The whole report."""

    layers: list[FormulaLayer]


def write_report(
    folder: Path,
    facts: ReportProvenance,
    found: Mapping[str, Sequence[Explanation]],
    pictures: Mapping[str, Mapping[int, str]] | None = None,
) -> list[str]:
    """Write all files of a report.

    - ``tally_<layer>.csv``: the columns of the original code, and what is new here.
    - ``report.json``: everything.
    - ``iou.svg``, the same as PNG, and ``index.html``.

    Args:
        folder: Where to write.
        facts: How it was made.
        found: Of all units of each layer.
        pictures: Of layers and units the address of a picture of their exemplars.

    Returns:
        A line for each layer, for people.
    """
    lines = []
    for layer, name in file_names(list(found)).items():
        units = found[layer]
        save_table(folder / f"tally_{name}.csv", _COLUMNS, [_table_row(one) for one in units])
        single = np.mean([one.single_iou for one in units])
        whole = np.mean([one.iou for one in units])
        better = np.mean([one.length > 1 and one.iou > one.single_iou for one in units])
        proved = [one.proved for one in units if one.proved is not None]
        lines.append(
            f"{layer}: mean IoU {whole:.3f} with formulas, {single:.3f} with one label; "
            f"{better:.0%} of {len(units)} units gain"
            + (f"; {sum(proved)} of {len(proved)} proved" if proved else "")
        )
    entries = [FormulaLayer(layer=layer, units=list(units)) for layer, units in found.items()]
    save_report(Explanations(**facts.model_dump(), layers=entries), folder / "report.json")
    ious = {
        layer: {
            "one label": [one.single_iou for one in units],
            "formula": [one.iou for one in units],
        }
        for layer, units in found.items()
    }
    render(
        folder / "index.html",
        title=f"{facts.model}: its units as formulas over labels",
        method="Compositional Explanations",
        lead="Each unit with the formula over labels that its masks overlap most, by intersection "
        "over union.",
        facts=facts.shown(),
        layers={
            layer: [_row(one, (pictures or {}).get(layer, {})) for one in units]
            for layer, units in found.items()
        },
        figures={"IoU with one label and with a formula": iou_by_length(ious, folder / "iou")[1]},
        bar=BAR,
    )
    return lines


def _row(one: Explanation, pictures: Mapping[int, str]) -> UnitRow:
    picture = pictures.get(one.unit, "")
    if one.iou == 0:
        return UnitRow(one.unit, one.english, "", 0.0, note="no label", picture=picture)
    note = "" if one.proved is None else ", proved" if one.proved else f", at most {one.bound:.3f}"
    more = [(f"one label: {plain(one.single)}", one.single_iou), *one.alternatives]
    return UnitRow(one.unit, one.english, f"{one.formula}{note}", one.iou, more, picture=picture)


def _table_row(one: Explanation) -> dict[str, object]:
    return {
        "unit": one.unit,
        "category": one.category,
        "label": one.formula,
        "score": one.iou,
        "length": one.length,
        "category_noncomp": one.single_category,
        "label_noncomp": one.single,
        "score_noncomp": one.single_iou,
        "english": one.english,
        "proved": one.proved,
        "bound": one.bound,
    }
