"""A dissection as tables, JSON, figures and a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from baselines.concepts.dissection_report import (
    ReportProvenance,
    file_names,
    save_report,
    save_table,
)
from baselines.concepts.figures import unique_detectors, units_per_label
from baselines.concepts.label_text import plain
from baselines.concepts.page import UnitRow, render
from baselines.netdissect.scores import BAR, LabelMatch, UnitResult, summarize
from baselines.netdissect.variants import Variant

NOTHING = "nothing"


class UnitEntry(BaseModel):
    """One unit: its threshold, whether it is dead, and its labels, best first."""

    model_config = ConfigDict(extra="forbid")

    unit: int
    threshold: float
    dead: bool
    top: tuple[LabelMatch, ...]


class DetectorLayer(BaseModel):
    """One layer: its units and its numbers; see ``baselines.netdissect.scores.Summary``."""

    model_config = ConfigDict(extra="forbid")

    layer: str
    dead: int
    detectors: dict[str, int]
    unique_detectors: dict[str, int]
    units: list[UnitEntry]


class Dissection(ReportProvenance):
    """The whole report."""

    layers: list[DetectorLayer]


def write_report(
    folder: Path,
    facts: ReportProvenance,
    results: Mapping[str, Sequence[UnitResult]],
    categories: Sequence[str],
    variant: Variant,
    bar: float = BAR,
    pictures: Mapping[str, Mapping[int, str]] | None = None,
) -> list[str]:
    """Write all files of a report.

    - ``<layer>.csv``: the columns of the original code's ``result.csv``; units count from 0 here.
    - ``detectors.csv``: detectors and unique detectors, by layer and category.
    - ``report.json``: everything, with the ten best labels of each unit.
    - ``detectors.svg`` and ``<layer>.svg``, the same as PNG, and ``index.html``.

    Args:
        folder: Where to write.
        facts: How it was made.
        results: Of all units of each layer.
        categories: In the order wanted.
        variant: Which it is.
        bar: The least IoU of a detector.
        pictures: Of layers and units the address of a picture of their exemplars.

    Returns:
        A line for each layer, for people.
    """
    names = file_names(list(results))
    summaries = {n: summarize(found, categories, variant, bar) for n, found in results.items()}
    entries, rows, lines, figures = [], [], [], {}
    unique = {layer: summary.unique for layer, summary in summaries.items()}
    drawn = unique_detectors(unique, bar, folder / "detectors")
    figures["Labels with a detector, by layer"] = drawn[1]
    for layer, found in results.items():
        summary = summaries[layer]
        _layer_table(folder / f"{names[layer]}.csv", found, categories)
        drawn = units_per_label(
            summary.labels, f"Detectors in {layer}", folder / f"{names[layer]}-labels"
        )
        figures[f"Units per label in {layer}"] = drawn[1]
        entries.append(
            DetectorLayer(
                layer=layer,
                dead=summary.dead,
                detectors=summary.detectors,
                unique_detectors=summary.unique,
                units=[_entry(result) for result in found],
            )
        )
        rows += [
            {"layer": layer, "category": c, "detectors": summary.detectors[c],
             "unique_detectors": summary.unique[c]}
            for c in categories
        ]  # fmt: skip
        lines.append(
            f"{layer}: {sum(summary.detectors.values())} of {summary.units} units are detectors "
            f"of {sum(summary.unique.values())} labels (IoU from {bar:g}); {summary.dead} dead"
        )
    save_table(
        folder / "detectors.csv", ["layer", "category", "detectors", "unique_detectors"], rows
    )
    save_report(Dissection(**facts.model_dump(), layers=entries), folder / "report.json")
    render(
        folder / "index.html",
        title=f"{facts.model}: which labels its units detect",
        method="Network Dissection",
        lead="Each unit with the label whose pixels its masks overlap most, by intersection over "
        "union. A unit's label is the best there is, however weak.",
        facts=facts.shown(),
        layers={
            layer: [_row(r, (pictures or {}).get(layer, {})) for r in found]
            for layer, found in results.items()
        },
        figures=figures,
        bar=bar,
    )
    return lines


def _entry(result: UnitResult) -> UnitEntry:
    return UnitEntry(unit=result.unit, threshold=result.threshold, dead=result.dead, top=result.top)


def _row(result: UnitResult, pictures: Mapping[int, str]) -> UnitRow:
    picture = pictures.get(result.unit, "")
    if result.best is None:
        return UnitRow(
            result.unit,
            NOTHING,
            "",
            0.0,
            note="dead" if result.dead else "no label",
            picture=picture,
        )
    more = [(plain(match.name), match.iou) for match in result.top[1:]]
    return UnitRow(
        result.unit, plain(result.best.name), result.best.category, result.best.iou, more,
        picture=picture,
    )  # fmt: skip


def _layer_table(path: Path, found: Sequence[UnitResult], categories: Sequence[str]) -> None:
    columns = ["unit", "category", "label", "score"]
    for category in categories:
        columns += [
            f"{category}-{what}" for what in ("label", "truth", "activation", "intersect", "iou")
        ]
    rows = []
    for result in found:
        best = result.best
        row: dict[str, object] = {
            "unit": result.unit,
            "category": best.category if best else "",
            "label": best.name if best else NOTHING,
            "score": best.iou if best else 0.0,
        }
        for category, match in result.by_category.items():
            row |= {
                f"{category}-label": match.name,
                f"{category}-truth": match.truth,
                f"{category}-activation": match.activated,
                f"{category}-intersect": match.intersection,
                f"{category}-iou": match.iou,
            }
        rows.append(row)
    save_table(path, columns, rows)
