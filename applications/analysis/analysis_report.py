"""The report of an analysis: descriptions by layer, and the properties that matter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from applications.analysis.class_accuracy import (
    ClassCounts,
    class_rows,
    class_table,
    draw_classes,
)
from applications.analysis.forms_and_topics import FORMS, TOPICS
from applications.analysis.property_importance import (
    RANDOM,
    AblationCurve,
    Order,
    curve_table,
    importance_table,
)
from applications.figures.panels import LayerPanel, Panel, PlotLine, by_layer, curves
from applications.network_descriptions import DescribedNetwork
from applications.report_page import (
    KeyFigure,
    NeuronCard,
    NeuronCards,
    ReportFigure,
    ReportSection,
    ReportTable,
    render,
    sheet_of,
)
from applications.tables import write_csv_tables
from benchmark.language import PROPERTIES
from benchmark.tokenization import compound_words
from milannotations.untrusted_text import as_cell

_EXAMPLES = 4
_LINES: dict[str, tuple[str, Literal["method", "other"]]] = {
    "highest": ("highest first", "method"),
    "lowest": ("lowest first", "other"),
}
_ORDERS: dict[Order, str] = {
    "network": "All layers together",
    "layer": "The same share of each layer",
}


@dataclass(frozen=True)
class Analysis:
    """The result of an analysis.

    Attributes:
        described: The network and its descriptions.
        layers: Statistics of layers, from ``layer_table``.
        properties: A column per property, a row per unit.
        forms: The form of each description.
        curves: Accuracy under ablation, from ``importance``; empty if it was not measured.
        images: Number of labelled images.
        classes: Their classes; None if accuracy was not measured.
    """

    described: DescribedNetwork
    layers: pd.DataFrame
    properties: pd.DataFrame
    forms: Sequence[str]
    curves: Sequence[AblationCurve] = ()
    images: int = 0
    classes: ClassCounts | None = None

    @property
    def significant_curves(self) -> list[AblationCurve]:
        """Curves of properties that differ from random orders."""
        return [curve for curve in self.curves if curve.name != RANDOM and curve.significant]


def write_analysis(analysis: Analysis, out: Path, facts: Mapping[str, str]) -> Path:
    """Write tables as CSV, figures and ``report.html``.

    Args:
        analysis: The analysis.
        out: An existing folder.
        facts: Settings of the analysis, by name.
    """
    units = analysis.described.table()
    units["description"] = [as_cell(text) for text in units["description"]]
    units["form"] = list(analysis.forms)
    for name in analysis.properties:
        units[name] = analysis.properties[name].to_numpy()
    tables = {"units.csv": units, "layers.csv": analysis.layers.reset_index()}
    if analysis.curves:
        tables["importance.csv"] = importance_table(analysis.curves, PROPERTIES)
        tables["curves.csv"] = curve_table(analysis.curves)
        if analysis.classes is not None:
            tables["classes.csv"] = class_table(analysis.curves, analysis.classes)
            tables["classes.csv"]["class"] = [
                as_cell(name) for name in tables["classes.csv"]["class"]
            ]
    write_csv_tables(tables, out)
    texts = analysis.described.texts
    vocabulary = len({word for text in texts for word in compound_words(text)})
    numbers = [
        KeyFigure("units described", f"{len(texts):,}", f"{len(analysis.described.layers)} layers"),
        KeyFigure(
            "different descriptions", f"{len(set(texts)):,}", f"of {vocabulary:,} different words"
        ),
        KeyFigure("mean length", f"{analysis.properties['length'].mean():.1f} words"),
    ]
    if analysis.curves:
        whole = analysis.curves[0].accuracy[0]
        numbers.append(KeyFigure("accuracy", f"{100 * whole:.1f} %", f"{analysis.images:,} images"))
    sections = [_by_layer(analysis, out)]
    if analysis.curves:
        sections.append(_importance(analysis, out))
        if analysis.classes is not None:
            sections.append(_classes(analysis, analysis.classes, out))
    sections.append(_examples(analysis))
    path = out / "report.html"
    network = analysis.described.loaded
    render(
        path,
        title=f"What the units of {network.name} are described as",
        eyebrow="Analysis",
        lead=f"Descriptions of {network.name} trained on {network.dataset}, layer by layer, and "
        "its accuracy when units with some property of their descriptions are ablated.",
        numbers=numbers,
        sections=sections,
        facts=facts,
    )
    return path


def _by_layer(analysis: Analysis, out: Path) -> ReportSection:
    table, layers = analysis.layers, list(analysis.layers.index)

    def line(name: str, interval: bool = True) -> list[tuple[float, float, float]]:
        low, high = (f"{name}_low", f"{name}_high") if interval else (name, name)
        return [
            (float(value), float(a), float(b))
            for value, a, b in zip(table[name], table[low], table[high], strict=True)
        ]

    parts_of_speech = {
        name: line(name, interval=False) for name in ("nouns", "verbs", "adjectives", "adpositions")
    }
    named = [name for name in TOPICS if table[name].any()]
    half = (len(named) + 1) // 2
    panels = [
        LayerPanel("Form", {name: line(name) for name in FORMS}, "share", percent=True),
        LayerPanel("Topic", {n: line(n) for n in named[:half]}, "share", percent=True),
        LayerPanel("Topic, others", {n: line(n) for n in named[half:]}, "share", percent=True),
        LayerPanel("Length", {"words": line("length")}, "words"),
        LayerPanel("Parts of speech", parts_of_speech, "words of each"),
        LayerPanel(
            "Distinct descriptions",
            {"share": line("distinct", interval=False)},
            "share",
            percent=True,
        ),
    ]
    figure = by_layer(out / "layers.png", panels, layers, columns=2)
    rows = [
        [
            layer,
            f"{int(row['neurons']):,}",
            f"{row['length']:.1f}",
            f"{int(row['vocabulary']):,}",
            f"{100 * row['distinct']:.0f} %",
            *(f"{100 * row[name]:.0f} %" for name in (*FORMS, *named)),
        ]
        for layer, row in table.iterrows()
    ]
    return ReportSection(
        "Descriptions by layer",
        [
            "A description may have several forms: it names a category (“dogs”), an attribute "
            "(“red”, “striped”) or a relation (“wheels under cars”). Topics overlap too."
        ],
        [
            ReportFigure(
                "Descriptions by layer, from the input on. Bars are 95 % intervals.",
                figure,
                "lines: shares of forms and topics, and lengths, by layer",
            ),
            ReportTable(
                "Layers",
                ["layer", "units", "words", "vocabulary", "distinct", *FORMS, *named],
                rows,
            ),
        ],
    )


def _importance(analysis: Analysis, out: Path) -> ReportSection:
    blocks: list[ReportFigure | ReportTable] = []
    for order, title in _ORDERS.items():
        some = [curve for curve in analysis.curves if curve.order == order]
        if not some:
            continue
        random = next(curve for curve in some if curve.name == RANDOM)
        named = dict.fromkeys(curve.name for curve in some if curve.name != RANDOM)
        panels = [
            Panel(
                PROPERTIES.get(name, name),
                [
                    _series(random, "random order", "random"),
                    *(
                        _series(curve, *_LINES[curve.direction])
                        for curve in some
                        if curve.name == name
                    ),
                ],
                "% of units ablated",
                "accuracy",
            )
            for name in named
        ]
        figure = curves(out / f"importance-{order}.png", panels, same_y=True)
        blocks.append(
            ReportFigure(
                f"{title}: accuracy as units are ablated, those highest or lowest in a property "
                "first. Grey: random orders, the middle 95 %.",
                figure,
                "small plots: accuracy against share of units ablated, one for each property",
            )
        )
        blocks.append(_tested([curve for curve in some if curve.name != RANDOM], title))
    return ReportSection(
        "Which properties matter",
        [
            "Units are ablated in the order of a property of their descriptions, the highest or "
            "the lowest values first. If the property matters, accuracy falls sooner than with "
            "random orders in one of the two directions, and later in the other. Over all "
            "layers together a property may seem to matter because it is frequent in layers "
            "that do; with the same share of each layer it cannot."
        ],
        blocks,
    )


def _tested(some: Sequence[AblationCurve], title: str) -> ReportTable:
    rows = [
        [
            PROPERTIES.get(c.name, c.name),
            _LINES[c.direction][0],
            f"{c.values:,}",
            f"{100 * c.area:.1f} %",
            f"{100 * c.difference:+.1f}",
            f"{c.p:.3g}",
            f"{c.adjusted:.3g}",
        ]
        for c in some
    ]
    return ReportTable(
        f"{title}: mean accuracy while units are ablated, against random orders",
        ["property", "direction", "values", "accuracy", "points", "p", "p (Holm)"],
        rows,
        note="Points below 0: the units ablated first, those high or low in the property, matter "
        "more than others. p: two-sided p-value for this being one more random order, by Student's "
        "t. Holm's correction is for all rows of this table. Properties with few values hardly "
        "order units.",
        strong=[i for i, curve in enumerate(some) if curve.significant],
    )


def _classes(analysis: Analysis, classes: ClassCounts, out: Path) -> ReportSection:
    blocks: list[ReportFigure | ReportTable] = []
    several = dict.fromkeys(curve.direction for curve in analysis.curves if curve.name != RANDOM)
    heads = [head for d in several for head in (f"{_LINES[d][0]}: worst", "points")]
    for order, title in _ORDERS.items():
        if not any(curve.order == order for curve in analysis.curves):
            continue
        figure = draw_classes(
            out / f"classes-{order}.png", analysis.curves, order, classes, PROPERTIES
        )
        blocks.append(
            ReportFigure(
                f"{title}: accuracy on each class while units are ablated, against random orders.",
                figure,
                "coloured table: points of accuracy, classes by properties",
            )
        )
        blocks.append(
            ReportTable(
                f"Accuracy by class: {title[0].lower()}{title[1:]}",
                ["class", "images", "accuracy", "random order", *heads],
                class_rows(analysis.curves, order, classes, PROPERTIES),
            )
        )
    return ReportSection(
        "Which classes lean on them",
        [
            "Accuracy on the images of each class, the mean over all steps of the ablation. "
            "“Worst” is the property whose ablation costs the class most against random orders. "
            "It is the least of several numbers, each of few images, and no test: look for what "
            "classes that are alike have in common. All classes, properties and steps are in "
            f"classes.csv; of {len(classes.names):,} classes those that differ most are shown."
        ],
        blocks,
    )


def _series(curve: AblationCurve, name: str, kind: str) -> PlotLine:
    low, high = zip(*curve.spread, strict=True)
    percent = [100 * fraction for fraction in curve.fractions]
    return PlotLine(name, percent, curve.accuracy, low, high, kind)  # type: ignore[arg-type]


def _examples(analysis: Analysis) -> ReportSection:
    blocks = []
    described = analysis.described
    for name, title in PROPERTIES.items():
        if name not in analysis.properties or not analysis.properties[name].any():
            continue
        order = analysis.properties[name].to_numpy(dtype=float).argsort(kind="stable")[::-1]
        cards = []
        for row in order[:_EXAMPLES]:
            unit = described.units[row]
            record = described.record(unit)
            cards.append(
                NeuronCard(
                    f"{unit[0]} · {unit[1]}",
                    described.texts[row],
                    [f"{title}: {analysis.properties[name].iloc[row]:.3g}"],
                    sheet=sheet_of(record) if record else None,
                )
            )
        blocks.append(NeuronCards(title, cards))
    return ReportSection("Units highest in each property", [], blocks)
