"""The quality report as figures, in the colour-blind-safe palette of Okabe and Ito."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.quality.schema import COVERAGE_BINS, Quality, ScopeMeasures
from benchmark.quality.summary_tables import label, shown_scopes
from milannotations.storage import atomic_path

NAMES = (
    "quality-text.png",
    "quality-repeats.png",
    "quality-agreement.png",
    "quality-exemplars.png",
)
_BLUE, _ORANGE, _GREEN, _GREY = "#0072B2", "#D55E00", "#009E73", "#777777"
_DPI = 110
_WIDTH = 9.0  # inches
_LONGEST_BAR = 20  # words; the last bar includes longer annotations
_MAX_ROWS = 45  # of a figure; with more layers, networks are shown instead
_MAX_LABEL = 34  # characters


def figures(quality: Quality, folder: Path) -> list[Path]:
    """Draw the report as PNG files, each written atomically.

    Args:
        quality: The report.
        folder: An existing folder. Figures of an earlier report that this one does not have are
            removed from it.

    Returns:
        The files: ``quality-text.png`` and ``quality-repeats.png`` if there are annotations,
        ``quality-agreement.png`` if they could be compared, and ``quality-exemplars.png`` if
        there are exemplars.
    """
    has_text = bool(quality.total.text.lengths)
    drawings: list[tuple[bool, Callable[[Quality], Figure]]] = [
        (has_text, _text),
        (has_text, _repeats),
        (bool(quality.total.agreement), _agreement),
        (quality.total.exemplars is not None, _exemplars),
    ]
    written = []
    for name, (applies, draw) in zip(NAMES, drawings, strict=True):
        target = folder / name
        if not applies:
            target.unlink(missing_ok=True)
            continue
        with atomic_path(target) as path, _without_glyph_warnings():
            draw(quality).savefig(path, format="png", dpi=_DPI)
        written.append(target)
    return written


def _text(quality: Quality) -> Figure:
    figure, (lengths, growth) = _panels(3.2, 2)
    text = quality.total.text
    counts = np.zeros(_LONGEST_BAR + 1)
    for words, number in text.lengths.items():
        counts[min(words, _LONGEST_BAR)] += number
    lengths.bar(np.arange(_LONGEST_BAR + 1), 100 * counts / counts.sum(), color=_BLUE, width=0.8)
    ticks = range(0, _LONGEST_BAR + 1, 5)
    lengths.set_xticks(ticks, [f"{t}+" if t == _LONGEST_BAR else str(t) for t in ticks])
    _name(lengths, "Length", "words in the annotation", "share of annotations (%)")
    if text.mean is not None:
        lengths.axvline(text.mean, color=_ORANGE, linewidth=1.5, linestyle="--")
        lengths.annotate(
            f"mean {text.mean:.1f}",
            (text.mean, 1.0),
            (6, -4),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            va="top",
            color=_ORANGE,
        )
    numbers, vocabulary = [0, *(n for n, _ in text.growth)], [0.0, *(w for _, w in text.growth)]
    growth.plot(numbers, vocabulary, color=_BLUE, linewidth=2)
    growth.set_xlim(0, 1.04 * numbers[-1])
    growth.set_ylim(0, 1.08 * max(vocabulary[-1], 1))
    for axis in (growth.xaxis, growth.yaxis):
        axis.set_major_formatter("{x:,.0f}")
    _name(growth, "Vocabulary", "annotations read", "distinct words, expected")
    return figure


def _repeats(quality: Quality) -> Figure:
    scopes = [scope for scope in _rows(quality) if scope.text.lengths]
    frequent = quality.total.text.frequent
    figure, (shares, most) = _panels(max(2.9, 0.9 + 0.27 * max(len(scopes), len(frequent))), 2)
    shared = [100 * scope.text.shared / sum(scope.text.lengths.values()) for scope in scopes]
    _bars(shares, _labels(quality, scopes), shared)
    _name(shares, "Said of another neuron too", "share of annotations (%)", "")
    total = sum(quality.total.text.lengths.values())
    _bars(most, [_short(f.text) for f in frequent], [100 * f.count / total for f in frequent])
    _name(most, "Most frequent annotations", "share of annotations (%)", "")
    return figure


def _agreement(quality: Quality) -> Figure:
    scopes = [scope for scope in _rows(quality) if scope.agreement]
    metrics = list(quality.metrics)
    figure, panels = _panels(1.5 + 0.3 * len(scopes), len(metrics))
    rows = np.arange(len(scopes))
    looks = (
        ("own", "the same neuron", _BLUE, "o", -0.13),
        ("other", "another neuron", _ORANGE, "s", 0.13),
    )
    for panel, metric in zip(panels, metrics, strict=True):
        for side, title, colour, marker, shift in looks:
            scores = [getattr(scope.agreement[metric], side) for scope in scopes]
            values = np.array([score.value for score in scores])
            spread = np.array([values - [s.low for s in scores], [s.high for s in scores] - values])
            panel.errorbar(
                values,
                rows + shift,
                xerr=np.maximum(spread, 0),
                fmt=marker,
                color=colour,
                markersize=5,
                elinewidth=1.4,
                capsize=2,
                label=title,
                linestyle="none",
            )
        chance = quality.metrics[metric].chance
        if chance is not None:
            panel.axvline(chance, color=_GREY, linewidth=1, linestyle=":")
        panel.set_yticks(rows, [""] * len(scopes))
        panel.set_ylim(len(scopes) - 0.5, -0.5)
        panel.margins(x=0.12)
        panel.locator_params(axis="x", nbins=4)
        unit = "score, 0 to 100" if metric == "bleu" else "share or score, 0 to 1"
        _name(panel, quality.metrics[metric].title, unit, "")
    panels[0].set_yticks(rows, _labels(quality, scopes), parse_math=False)
    handles, titles = panels[0].get_legend_handles_labels()
    titles = [f"against annotations of {title}" for title in titles]
    figure.legend(handles, titles, loc="outside lower center", ncols=2, frameon=False)
    return figure


def _exemplars(quality: Quality) -> Figure:
    scopes = [(scope, scope.exemplars) for scope in _rows(quality) if scope.exemplars is not None]
    figure, (covered, findings) = _panels(max(3.2, 1.5 + 0.3 * len(scopes)), 2)
    total = quality.total.exemplars
    assert total is not None
    edges = np.linspace(0, 100, COVERAGE_BINS + 1)
    share = 100 * np.array(total.coverage) / max(1, sum(total.coverage))
    covered.bar(edges[:-1], share, width=0.9 * edges[1], align="edge", color=_BLUE)
    covered.set_xlim(0, 100)
    _name(covered, "Masks", "share of the image covered (%)", "share of masks (%)")
    rows = np.arange(len(scopes))
    looks = (
        ("empty_masks", "a mask that covers nothing", _BLUE, "o", -0.18),
        ("repeated_ids", "an image id twice", _ORANGE, "s", 0.0),
        ("near_duplicates", "near-duplicate images", _GREEN, "^", 0.18),
    )
    for name, title, colour, marker, shift in looks:
        values = [100 * m.findings[name].neurons / m.neurons for _, m in scopes]
        findings.plot(values, rows + shift, marker, color=colour, label=title, clip_on=False)
    findings.set_yticks(rows, _labels(quality, [scope for scope, _ in scopes]), parse_math=False)
    findings.set_ylim(len(scopes) - 0.5, -0.5)
    findings.set_xlim(left=0, right=max(1.0, findings.get_xlim()[1]))
    _name(findings, "Neurons with …", "share of neurons (%)", "")
    figure.legend(loc="outside lower right", ncols=3, fontsize="small", frameon=False)
    return figure


def _panels(height: float, count: int) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    panels = figure.subplots(1, count, squeeze=False)[0]
    for panel in panels:
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(alpha=0.25)
        panel.set_axisbelow(True)
    return figure, list(panels)


def _bars(panel: Axes, names: list[str], values: list[float]) -> None:
    rows = np.arange(len(names))
    bars = panel.barh(rows, values, color=_BLUE, height=0.7)
    panel.bar_label(bars, [f"{value:.1f}" for value in values], padding=3, fontsize="small")
    # A dollar sign in an annotation does not start a formula.
    panel.set_yticks(rows, names, parse_math=False)
    panel.set_ylim(len(names) - 0.4, -0.6)
    panel.set_xlim(0, 1.15 * max([*values, 0.1]))
    panel.grid(visible=False, axis="y")


def _name(panel: Axes, title: str, x: str, y: str) -> None:
    panel.set_title(title, fontsize="medium", loc="left")
    panel.set_xlabel(x, fontsize="small")
    panel.set_ylabel(y, fontsize="small")
    panel.tick_params(labelsize="small")


def _rows(quality: Quality) -> list[ScopeMeasures]:
    scopes = shown_scopes(quality)
    if len(scopes) <= _MAX_ROWS:
        return scopes
    fewer = [scope for scope in scopes if scope.level != "layer"]
    return fewer if len(fewer) <= _MAX_ROWS else [quality.total]


def _labels(quality: Quality, scopes: Sequence[ScopeMeasures]) -> list[str]:
    return [_short(label(quality, scope)) for scope in scopes]


def _short(text: str) -> str:
    return text if len(text) <= _MAX_LABEL else text[: _MAX_LABEL - 1] + "…"


@contextmanager
def _without_glyph_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        # Characters that the font lacks are drawn as boxes, which the user cannot change.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        yield
