"""The report of an edit: the ablated units, how they were chosen, and results on test images."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from applications.editing.selection import (
    DESCRIPTIONS,
    METHODS,
    RANDOM,
    SELECTED,
    ChoiceResult,
    better_than_random,
)
from applications.editing.unit_chooser import EditChoice
from applications.figures.panels import Panel, PlotLine, curves
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
from applications.word_search import WordSearch, frequent
from benchmark.intervals import Interval
from milannotations.ablation import LayerUnit
from milannotations.ablation.edited import Written
from milannotations.storage import atomic_path
from milannotations.untrusted_text import as_cell

_CARDS = 24
_SHOWN = 24  # units on the curves, at least


@dataclass(frozen=True)
class Edit:
    """The result of an edit.

    Attributes:
        described: The network and its descriptions.
        search: Words that descriptions were searched for.
        matches: The matching units, each with the words of its description that matched.
        choices: The choices on validation images.
        outcomes: The results of the choices on test images.
        validation: Number of images of each validation set.
        tests: Number of images of each test set.
        written: The edited network; None if nothing was ablated.
        finetuned: Accuracies on test sets after training the last layer, by network (``edited`` or
            ``not edited``) and test set; empty if it was not trained.
    """

    described: DescribedNetwork
    search: WordSearch
    matches: Mapping[LayerUnit, tuple[str, ...]]
    choices: Sequence[EditChoice]
    outcomes: Sequence[ChoiceResult]
    validation: Mapping[str, int]
    tests: Mapping[str, int]
    written: Written | None
    finetuned: Mapping[str, Mapping[str, Interval]]

    @property
    def choice(self) -> EditChoice:
        """The choice by descriptions."""
        return next(choice for choice in self.choices if choice.method == DESCRIPTIONS)

    def outcome(self, test: str, method: str = DESCRIPTIONS) -> ChoiceResult:
        """Return the result of a way of choosing on a test set; the first, if there are several."""
        return next(o for o in self.outcomes if o.test == test and o.method == method)


def outcome_table(outcomes: Sequence[ChoiceResult]) -> pd.DataFrame:
    """Return a row per choice and test set."""
    return pd.DataFrame(
        [
            [
                o.method,
                o.trial,
                o.test,
                o.count,
                o.before.value,
                o.after.value,
                o.after.low,
                o.after.high,
                o.gain.value,
                o.gain.low,
                o.gain.high,
            ]
            for o in outcomes
        ],
        columns=[
            "method",
            "trial",
            "test",
            "units",
            "before",
            "after",
            "after_low",
            "after_high",
            "gain",
            "gain_low",
            "gain_high",
        ],
    )


def write_edit(edit: Edit, out: Path, facts: Mapping[str, str]) -> Path:
    """Write tables, the figure and ``report.html``.

    Args:
        edit: The edit.
        out: An existing folder.
        facts: Settings of the edit, by name.
    """
    choice = edit.choice
    text = edit.described.text_of
    units = pd.DataFrame(
        [
            [
                layer,
                unit,
                as_cell(text[layer, unit]),
                "; ".join(edit.matches[layer, unit]),
                effect,
                rank < choice.count,
            ]
            for rank, ((layer, unit), effect) in enumerate(
                zip(choice.order, choice.effects, strict=True)
            )
        ],
        columns=["layer", "unit", "description", "matched", "validation_effect", "ablated"],
    )
    tables = {
        "candidates.csv": units,
        "outcomes.csv": outcome_table(edit.outcomes),
        "curves.csv": _curve_table(edit.outcomes),
    }
    write_csv_tables(tables, out)
    summary = {
        "looked_for": edit.search.title,
        "matching": len(edit.matches),
        "ablated": [list(unit) for unit in choice.units],
        "tests": {
            test: {
                **asdict(edit.outcome(test)),
                "p_random": better_than_random(edit.outcomes, test)[0],
            }
            for test in edit.tests
        },
        "finetuned": {k: {t: asdict(v) for t, v in of.items()} for k, of in edit.finetuned.items()},
    }
    with atomic_path(out / "edit.json") as path:
        path.write_text(json.dumps(summary, indent=1), encoding="utf-8")
    if edit.matches:
        sections = [_results(edit), _chosen(edit, out), _units(edit), _written(edit)]
    else:
        sections = [_nothing(edit), _written(edit)]
    numbers = [
        KeyFigure("ablated", f"{choice.count} of {len(edit.matches)}", "units that match"),
        *(
            KeyFigure(
                f"accuracy, {test}",
                f"{_percent(edit.outcome(test).before)} → {_percent(edit.outcome(test).after)}",
                f"gain {_points(edit.outcome(test).gain)}",
            )
            for test in edit.tests
        ),
    ]
    path = out / "report.html"
    render(
        path,
        title=f"{edit.described.loaded.name} without units for {edit.search.title}"
        if edit.matches
        else f"No unit of {edit.described.loaded.name} is described with {edit.search.title}",
        eyebrow="Edit",
        lead=f"No unit is described with {edit.search.title}, so the network was left as it is."
        if not edit.matches
        else f"Units whose descriptions name {edit.search.title} were sorted by what ablating each "
        "alone does to accuracy on validation images. The first of them were ablated, as many as "
        "did best there. Test images were opened after that.",
        numbers=numbers,
        sections=sections,
        facts=facts,
    )
    return path


def _nothing(edit: Edit) -> ReportSection:
    return ReportSection(
        "Nothing to ablate",
        [
            f"None of the {len(edit.described.units):,} units is described with "
            f"{edit.search.title}. The most frequent words of the descriptions are: "
            f"{frequent(edit.described.texts)}. The network may rely on the feature all the same, "
            "in units with other descriptions."
        ],
        [
            ReportTable(
                "Accuracy of the network as it is",
                ["test images", "number", "accuracy (95 %)"],
                [
                    [test, f"{count:,}", _range(edit.outcome(test).before)]
                    for test, count in edit.tests.items()
                ],
            )
        ],
    )


def _results(edit: Edit) -> ReportSection:
    tables = [_result(edit, test) for test in edit.tests]
    ways = ReportTable("Ways of choosing", ["choice", "candidates"], [*map(list, METHODS.items())])
    return ReportSection(
        "On test images",
        [
            "Every way of choosing except plain random draws has as many candidates as "
            "descriptions give, sorts them by effect, and chooses their number on the same "
            "validation images."
        ],
        [*tables, ways],
    )


def _result(edit: Edit, test: str) -> ReportTable:
    whole = edit.outcome(test).before
    rows, strong = [["the whole network", _range(whole), "", "0", ""]], []
    for method in METHODS:
        some = [o for o in edit.outcomes if o.test == test and o.method == method]
        if not some:
            continue
        if method in (RANDOM, SELECTED):
            after = float(np.mean([o.after.value for o in some]))
            gains = [o.gain.value for o in some]
            low, high = np.quantile(gains, [0.025, 0.975])
            p, draws = better_than_random(edit.outcomes, test, method)
            name = f"{method}, mean of {draws} draws"
            gain = _points(Interval(float(np.mean(gains)), float(low), float(high)))
            units = f"{np.mean([o.count for o in some]):.1f}"
            rows.append([name, f"{100 * after:.1f} %", gain, units, f"{p:.3g}"])
            continue
        if method == DESCRIPTIONS:
            strong.append(len(rows))
        outcome = some[0]
        rows.append([method, _range(outcome.after), _points(outcome.gain), str(outcome.count), ""])
    for what, of in edit.finetuned.items():
        gain = f"{100 * (of[test].value - whole.value):+.1f}"
        rows.append([f"{what}, last layer trained again", _range(of[test]), gain, "", ""])
    return ReportTable(
        f"Accuracy on {test} images ({edit.tests[test]:,})",
        ["choice", "accuracy (95 %)", "gain in points (95 %)", "units", "p"],
        rows,
        note="Accuracies have Wilson intervals, gains have paired bootstrap intervals over images; "
        "for random draws, the middle 95 % of gains is shown. p: share of the draws, counting this "
        "edit as one, that gain at least as much as the edit by descriptions. Random draws may "
        "contain the same units.",
        strong=strong,
    )


def _chosen(edit: Edit, out: Path) -> ReportSection:
    choice = edit.choice
    most = max(_SHOWN, 3 * choice.count)
    panels = [
        Panel(
            f"validation: {' and '.join(edit.validation)}",
            [
                _cut(
                    c.method,
                    c.counts,
                    c.scores,
                    most,
                    marks={float(c.count): str(c.count)} if c is choice else None,
                )
                for c in edit.choices
                if c.method not in (RANDOM, SELECTED)
            ],
            "units ablated",
            "accuracy",
            level=choice.scores[0],
        )
    ]
    for test in edit.tests:
        some = [o for o in edit.outcomes if o.test == test]
        series = []
        random = [o for o in some if o.method == RANDOM]
        if random and random[0].count:
            values = np.array([o.curve for o in random])
            low, high = np.quantile(values, [0.025, 0.975], axis=0)
            series.append(
                PlotLine(
                    RANDOM,
                    random[0].counts,
                    values.mean(0).tolist(),
                    low.tolist(),
                    high.tolist(),
                    "random",
                )
            )
        series += [
            _cut(
                o.method,
                o.counts,
                o.curve,
                most,
                marks={float(o.count): str(o.count)} if o.method == DESCRIPTIONS else None,
            )
            for o in some
            if o.method not in (RANDOM, SELECTED)
        ]
        panels.append(
            Panel(test, series, "units ablated", "accuracy", level=edit.outcome(test).before.value)
        )
    figure = curves(out / "curves.png", panels, columns=3)
    return ReportSection(
        "How many units",
        [
            f"{choice.count} {'unit was' if choice.count == 1 else 'units were'} chosen on "
            f"validation images: accuracy "
            f"{100 * choice.scores[choice.counts.index(choice.count)]:.1f} %, without an edit "
            f"{100 * choice.scores[0]:.1f} %."
        ],
        [
            ReportFigure(
                "Accuracy as units are ablated, in the order of their effects on validation "
                "images, near the choice, which the number marks. All of it: curves.csv.",
                figure,
                "curves: accuracy against number of ablated units, validation and test sets",
            ),
        ],
    )


def _units(edit: Edit) -> ReportSection:
    choice = edit.choice
    text = edit.described.text_of
    cards = []
    for rank, (unit, effect) in enumerate(zip(choice.order, choice.effects, strict=True)):
        if rank >= _CARDS:
            break
        record = edit.described.record(unit)
        state = "ablated" if rank < choice.count else "kept"
        cards.append(
            NeuronCard(
                f"{unit[0]} · {unit[1]}",
                text[unit],
                [state, f"alone: {100 * effect:+.1f} points on validation images"],
                edit.matches[unit],
                sheet_of(record) if record else None,
            )
        )
    more = len(choice.order) - len(cards)
    note = f"{more} more are in candidates.csv." if more > 0 else ""
    return ReportSection("Units that match", [], [NeuronCards("By their effects", cards, note)])


def _written(edit: Edit) -> ReportSection:
    written = edit.written
    if written is None:
        reason = "no edit did better than none" if edit.matches else "there was nothing to ablate"
        text = [f"No edited network was written, as {reason}."]
    else:
        text = [
            "edited/weights.pt is a state dictionary with the network's own names. "
            + (
                "It is the whole edit: load it into the architecture with torch.load(…, "
                "weights_only=True) and load_state_dict."
                if written.folded
                else "Weights alone cannot ablate these units: edited/load_edited.py, which needs "
                "only torch, loads them and applies the masks of edited/masks.json."
            )
        ]
        if edit.finetuned:
            text.append(
                "The last layer of this network was trained again; the table above gives its "
                "accuracy as “edited, last layer trained again”."
            )
        text.append(
            "edited/model.pt2 is the same as a program: torch.export.load(…).module()."
            if written.program
            else f"It could not be exported as a program: {written.problem}"
        )
    return ReportSection("The edited network", text, [])


def _curve_table(outcomes: Sequence[ChoiceResult]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            [o.method, o.trial, o.test, count, value]
            for o in outcomes
            for count, value in zip(o.counts, o.curve, strict=True)
        ],
        columns=["method", "trial", "test", "units", "accuracy"],
    )


def _cut(
    method: str,
    counts: Sequence[int],
    values: Sequence[float],
    most: int,
    marks: Mapping[float, str] | None,
) -> PlotLine:
    """Return a curve up to ``most`` units; a longer one would push the choice to the edge."""
    shown = [index for index, count in enumerate(counts) if count <= most]
    return PlotLine(
        method,
        [counts[i] for i in shown],
        [values[i] for i in shown],
        kind=_kind(method),
        marks=marks,
    )


def _kind(method: str) -> Literal["method", "other"]:
    return "method" if method == DESCRIPTIONS else "other"


def _percent(value: Interval) -> str:
    return f"{100 * value.value:.1f} %"


def _range(value: Interval) -> str:
    return f"{100 * value.value:.1f} % ({100 * value.low:.1f} to {100 * value.high:.1f})"


def _points(value: Interval) -> str:
    return f"{100 * value.value:+.1f} ({100 * value.low:+.1f} to {100 * value.high:+.1f})"
