"""Formulas of a network's units as tables, JSON, a figure and a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from baselines.compexp.explanation import Explanation
from baselines.concepts.dissection_report import (
    DETECTOR_IOU,
    LayerReport,
    ReportProvenance,
    file_names,
    save_report,
    save_table,
)
from baselines.concepts.figures import iou_by_length
from baselines.concepts.label_text import plain
from baselines.concepts.page import UnitRow, render


class FormulaLayer(LayerReport):
    """One layer and its units."""

    units: list[Explanation]


class Explanations(ReportProvenance):
    """The whole report."""

    layers: list[FormulaLayer]


def write_report(
    folder: Path,
    facts: ReportProvenance,
    results: Mapping[str, Sequence[Explanation]],
    pictures: Mapping[str, Mapping[int, str]] | None = None,
) -> list[str]:
    """Write all files of a report.

    - ``tally_<layer>.csv``: the columns of the original code, and further ones.
    - ``report.json``: everything.
    - ``iou.svg`` and ``iou.png``, and ``index.html``.

    Args:
        folder: Where to write.
        facts: How it was made.
        results: Of all units of each layer.
        pictures: By layer and unit, the address of a picture of the unit's exemplars.

    Returns:
        A line for each layer, for people.
    """
    lines = []
    for layer, name in file_names(list(results)).items():
        units = results[layer]
        rows = [_table_row(unit) for unit in units]
        save_table(folder / f"tally_{name}.csv", list(rows[0]) if rows else [], rows)
        lines.append(_summary(layer, units))
    layers = [FormulaLayer(layer=layer, units=list(units)) for layer, units in results.items()]
    save_report(Explanations(**facts.model_dump(), layers=layers), folder / "report.json")
    ious = {
        layer: {
            "one label": [unit.single_iou for unit in units],
            "formula": [unit.iou for unit in units],
        }
        for layer, units in results.items()
    }
    render(
        folder / "index.html",
        title=f"{facts.model}: its units as formulas over labels",
        method="Compositional Explanations",
        lead="Each unit with the formula over labels that its masks overlap most, by intersection "
        "over union.",
        facts=facts.shown(),
        layers={
            layer: [_page_row(unit, (pictures or {}).get(layer, {})) for unit in units]
            for layer, units in results.items()
        },
        figures={"IoU with one label and with a formula": iou_by_length(ious, folder / "iou")[1]},
        bar=DETECTOR_IOU,
    )
    return lines


def _summary(layer: str, units: Sequence[Explanation]) -> str:
    single = np.mean([unit.single_iou for unit in units])
    formula = np.mean([unit.iou for unit in units])
    better = np.mean([unit.length > 1 and unit.iou > unit.single_iou for unit in units])
    proved = [unit.proved for unit in units if unit.proved is not None]
    return (
        f"{layer}: mean IoU {formula:.3f} with formulas, {single:.3f} with one label; "
        f"{better:.0%} of {len(units)} units gain"
        + (f"; {sum(proved)} of {len(proved)} proved" if proved else "")
    )


def _page_row(unit: Explanation, pictures: Mapping[int, str]) -> UnitRow:
    picture = pictures.get(unit.unit, "")
    if unit.iou == 0:
        return UnitRow(unit.unit, unit.english, "", 0.0, note="no label", picture=picture)
    note = ""
    if unit.proved is not None:
        note = ", proved" if unit.proved else f", at most {unit.bound:.3f}"
    more = [(f"one label: {plain(unit.single)}", unit.single_iou), *unit.alternatives]
    formula = f"{unit.formula}{note}"
    return UnitRow(unit.unit, unit.english, formula, unit.iou, more, picture=picture)


def _table_row(unit: Explanation) -> dict[str, object]:
    return {
        "unit": unit.unit,
        "category": unit.category,
        "label": unit.formula,
        "score": unit.iou,
        "length": unit.length,
        "category_noncomp": unit.single_category,
        "label_noncomp": unit.single,
        "score_noncomp": unit.single_iou,
        "english": unit.english,
        "proved": unit.proved,
        "bound": unit.bound,
    }
