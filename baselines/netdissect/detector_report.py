"""A dissection as tables, JSON, figures and a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from baselines.concepts.dissection_report import (
    DETECTOR_IOU,
    LayerReport,
    ReportProvenance,
    file_names,
    save_report,
    save_table,
)
from baselines.concepts.figures import unique_detectors, units_per_label
from baselines.concepts.label_text import NOTHING, plain
from baselines.concepts.page import UnitRow, render
from baselines.netdissect.scores import LabelMatch, UnitResult, summarize
from baselines.netdissect.variants import Variant


class UnitEntry(BaseModel):
    """One unit: its threshold, whether it is dead, and its labels, best first."""

    model_config = ConfigDict(extra="forbid")

    unit: int
    threshold: float
    dead: bool
    top: tuple[LabelMatch, ...]


class DetectorLayer(LayerReport):
    """One layer: its units and its numbers; see ``baselines.netdissect.scores.Summary``."""

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
    bar: float = DETECTOR_IOU,
    pictures: Mapping[str, Mapping[int, str]] | None = None,
) -> list[str]:
    """Write all files of a report.

    - ``<layer>.csv``: the columns of the original code's ``result.csv``; units count from 0 here.
    - ``detectors.csv``: detectors and unique detectors, by layer and category.
    - ``report.json``: everything, with the ten best labels of each unit.
    - ``detectors`` and ``<layer>-labels`` as SVG and PNG, and ``index.html``.

    Args:
        folder: Where to write.
        facts: How it was made.
        results: Of all units of each layer.
        categories: In the order of the columns.
        variant: The implementation that was followed.
        bar: The least IoU of a detector.
        pictures: By layer and unit, the address of a picture of the unit's exemplars.

    Returns:
        A line for each layer, for people.
    """
    names = file_names(list(results))
    summaries = {n: summarize(units, categories, variant, bar) for n, units in results.items()}
    unique = {layer: summary.unique for layer, summary in summaries.items()}
    figures = {
        "Labels with a detector, by layer": unique_detectors(unique, bar, folder / "detectors")[1]
    }
    layers, rows, lines = [], [], []
    for layer, units in results.items():
        summary = summaries[layer]
        _save_layer_table(folder / f"{names[layer]}.csv", units, categories)
        figures[f"Units per label in {layer}"] = units_per_label(
            summary.labels, f"Detectors in {layer}", folder / f"{names[layer]}-labels"
        )[1]
        layers.append(
            DetectorLayer(
                layer=layer,
                dead=summary.dead,
                detectors=summary.detectors,
                unique_detectors=summary.unique,
                units=[
                    UnitEntry(unit=u.unit, threshold=u.threshold, dead=u.dead, top=u.top)
                    for u in units
                ],
            )
        )
        rows += [
            {
                "layer": layer,
                "category": category,
                "detectors": summary.detectors[category],
                "unique_detectors": summary.unique[category],
            }
            for category in categories
        ]
        lines.append(
            f"{layer}: {sum(summary.detectors.values())} of {summary.units} units are detectors "
            f"of {sum(summary.unique.values())} labels (IoU from {bar:g}); {summary.dead} dead"
        )
    columns = ["layer", "category", "detectors", "unique_detectors"]
    save_table(folder / "detectors.csv", columns, rows)
    save_report(Dissection(**facts.model_dump(), layers=layers), folder / "report.json")
    render(
        folder / "index.html",
        title=f"{facts.model}: which labels its units detect",
        method="Network Dissection",
        lead="Each unit with the label whose pixels its masks overlap most, by intersection over "
        "union. A unit's label is the best there is, however weak.",
        facts=facts.shown(),
        layers={
            layer: [_page_row(unit, (pictures or {}).get(layer, {})) for unit in units]
            for layer, units in results.items()
        },
        figures=figures,
        bar=bar,
    )
    return lines


def _page_row(result: UnitResult, pictures: Mapping[int, str]) -> UnitRow:
    picture, best = pictures.get(result.unit, ""), result.best
    if best is None:
        note = "dead" if result.dead else "no label"
        return UnitRow(result.unit, NOTHING, "", 0.0, note=note, picture=picture)
    more = [(plain(match.name), match.iou) for match in result.top[1:]]
    name = plain(best.name)
    return UnitRow(result.unit, name, best.category, best.iou, more, picture=picture)


def _save_layer_table(path: Path, units: Sequence[UnitResult], categories: Sequence[str]) -> None:
    columns = ["unit", "category", "label", "score"]
    for category in categories:
        columns += [
            f"{category}-{number}"
            for number in ("label", "truth", "activation", "intersect", "iou")
        ]
    rows = []
    for result in units:
        best = result.best
        row: dict[str, object] = {
            "unit": result.unit,
            "category": best.category if best else "",
            "label": best.name if best else NOTHING,
            "score": result.iou,
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
