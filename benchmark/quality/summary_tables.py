"""The quality report as tables of plain text, which ``rendering`` turns into Markdown and more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmark.quality.exemplar_measures import FINDINGS, NEAR
from benchmark.quality.schema import ExemplarMeasures, JunkAnnotations, Quality, ScopeMeasures
from benchmark.quality.text_measures import KINDS, shown
from benchmark.score_tables import number
from milannotations.record import NeuronKey

NO_ANNOTATIONS = "No neuron has annotations, so this part is left out."
NO_EXEMPLARS = "The records hold no exemplars, so this part is left out."
NO_AGREEMENT = (
    "Agreement is left out: no two neurons of one layer have two annotations each that are not "
    "empty."
)
_NONE = "–"


@dataclass(frozen=True)
class SummaryTable:
    """A table of plain text.

    Attributes:
        title: Heading of the table.
        head: Names of the columns.
        rows: Cells; no rows if there is nothing to measure, and then ``note`` says why.
        note: How to read the table.
        words: Columns that hold words; the others hold numbers.

    >>> SummaryTable("Neurons", ["layer", "neurons"], [["conv1", "64"]]).rows
    [['conv1', '64']]
    """

    title: str
    head: list[str]
    rows: list[list[str]]
    note: str = ""
    words: tuple[int, ...] = (0,)


def tables(quality: Quality) -> list[SummaryTable]:
    """Return the report as tables."""
    text = [SummaryTable("Words", [], [], NO_ANNOTATIONS)]
    if quality.total.counts.annotations:
        text = [make(quality) for make in (_lengths, _repetition, _frequent, _junk)]
    return [_counts(quality), *text, *_exemplars(quality), _agreement(quality)]


def label(quality: Quality, scope: ScopeMeasures) -> str:
    """Return the name of a scope: ``all``, its network, or its layer."""
    network = "-".join(name for name in (scope.model, scope.dataset) if name)
    if scope.level == "all":
        return "all"
    if scope.layer is None:
        return shown(network) or "unnamed network"
    several = len(quality.networks) > 1
    return shown(f"{network} {scope.layer}" if several else scope.layer)


def shown_scopes(quality: Quality) -> list[ScopeMeasures]:
    """Return the layers, then the networks if there are several, then all neurons."""
    networks = quality.networks if len(quality.networks) > 1 else []
    return [*quality.layers, *networks, quality.total]


def _by_scope(
    quality: Quality,
    title: str,
    columns: Sequence[str],
    cells: Callable[[ScopeMeasures], list[str]],
    note: str,
) -> SummaryTable:
    """Return a table with one row per scope."""
    rows = [[label(quality, scope), *cells(scope)] for scope in shown_scopes(quality)]
    return SummaryTable(title, ["", *columns], rows, note)


def _counts(quality: Quality) -> SummaryTable:
    def cells(scope: ScopeMeasures) -> list[str]:
        counts = scope.counts
        few = [counts.per_neuron.get(count, 0) for count in range(4)]
        more = sum(n for count, n in counts.per_neuron.items() if count > 3)
        return [_int(n) for n in (counts.neurons, counts.annotations, *few, more)]

    repeated = quality.total.counts.repeated_keys
    return _by_scope(
        quality,
        "Neurons and annotations",
        ["neurons", "annotations", "0", "1", "2", "3", "more"],
        cells,
        "“0” to “more”: neurons with so many annotations."
        + (f" {_int(repeated)} records repeat the key of another." if repeated else ""),
    )


def _lengths(quality: Quality) -> SummaryTable:
    def cells(scope: ScopeMeasures) -> list[str]:
        text = scope.text
        longest = _NONE if text.longest is None else _int(text.longest)
        return [*(_decimal(value) for value in (text.mean, text.median, text.p95)), longest]

    return _by_scope(
        quality,
        "Length in words",
        ["mean", "median", "95th percentile", "longest"],
        cells,
        "A word is a run of letters and digits; an apostrophe or a hyphen between two runs joins "
        "them.",
    )


def _repetition(quality: Quality) -> SummaryTable:
    def cells(scope: ScopeMeasures) -> list[str]:
        text, annotations = scope.text, sum(scope.text.lengths.values())
        return [
            _int(text.vocabulary),
            _int(text.once),
            _counted(text.distinct, annotations),
            _counted(text.shared, annotations),
            _counted(text.repeating_neurons, scope.counts.neurons),
        ]

    return _by_scope(
        quality,
        "Vocabulary and repetition",
        ["words", "used once", "distinct annotations", "shared", "repeating neurons"],
        cells,
        "Words “used once” occur in a single annotation. Annotations are compared in lower case, "
        "without spaces and full stops at the ends; “shared” ones are those that another neuron "
        "of the same row has too. A “repeating” neuron has one annotation twice.",
    )


def _frequent(quality: Quality) -> SummaryTable:
    text = quality.total.text
    total = sum(text.lengths.values())
    rows = [[shown(f.text), _int(f.count), _share(f.count, total)] for f in text.frequent]
    return SummaryTable("Most frequent annotations", ["annotation", "times", "share"], rows)


def _junk(quality: Quality) -> SummaryTable:
    total = quality.total.counts.annotations
    rows = []
    for kind, title in KINDS.items():
        junk = quality.total.text.junk.get(kind, JunkAnnotations(count=0, examples=[]))
        examples = "; ".join(
            f"{_neuron(quality, example.key)} “{shown(example.text)}”" for example in junk.examples
        )
        rows.append([title, _int(junk.count), _share(junk.count, total), examples])
    return SummaryTable(
        "Annotations that say nothing",
        ["kind", "annotations", "share", "examples"],
        rows,
        "An annotation counts under the first kind that it is. Placeholders are whole annotations "
        "such as “n/a”, “none”, “nothing”, “unknown” or “test”.",
        words=(0, 3),
    )


def _exemplars(quality: Quality) -> list[SummaryTable]:
    total = quality.total.exemplars
    if total is None:
        return [SummaryTable("Exemplars", [], [], NO_EXEMPLARS)]
    return [_masks(quality, total), _order(quality), *_findings(quality, total)]


def _masks(quality: Quality, total: ExemplarMeasures) -> SummaryTable:
    def cells(scope: ScopeMeasures) -> list[str]:
        measures = scope.exemplars
        if measures is None:
            return ["0", *[_NONE] * 4]
        return [
            _int(measures.neurons),
            _span(measures),
            _NONE if measures.covered is None else f"{100 * measures.covered:.1f} %",
            _counted(measures.findings["empty_masks"].count, measures.masks),
            _counted(measures.findings["full_masks"].count, measures.masks),
        ]

    sizes = ", ".join(f"{size} px ({_int(count)})" for size, count in total.sizes.items())
    if total.other_sizes:
        sizes += f", others ({_int(total.other_sizes)})"
    return _by_scope(
        quality,
        "Exemplars",
        ["neurons", "exemplars of each", "mean mask", "empty masks", "full masks"],
        cells,
        f"{_int(total.images)} images, {_int(total.masks)} masks; sizes: {sizes or 'none'}. "
        "“Mean mask” is the share of the image that masks cover.",
    )


def _order(quality: Quality) -> SummaryTable:
    def cells(scope: ScopeMeasures) -> list[str]:
        measures = scope.exemplars
        if measures is None:
            return [_NONE] * 4
        names = ("repeated_ids", "near_duplicates", "not_descending", "unreadable")
        return [_counted(measures.findings[name].neurons, measures.neurons) for name in names]

    return _by_scope(
        quality,
        "Neurons with exemplars repeated or out of order",
        ["an image id twice", "near-duplicates", "not descending", "unreadable"],
        cells,
        "Near-duplicates are two images of one neuron, not of the same id, whose 64-bit "
        f"difference hashes differ in at most {NEAR} bits. “Not descending” are activations.",
    )


def _findings(quality: Quality, total: ExemplarMeasures) -> list[SummaryTable]:
    rows = []
    for name, (title, unit) in FINDINGS.items():
        finding = total.findings[name]
        if finding.count:
            neurons = ", ".join(_neuron(quality, key) for key in finding.examples)
            rows.append([title, f"{_int(finding.count)} {unit}", neurons])
    head = ["", "found", "neurons, for example"]
    return [SummaryTable("Exemplars to look at", head, rows, words=(0, 1, 2))] if rows else []


def _agreement(quality: Quality) -> SummaryTable:
    title = "Agreement between annotators"
    if not quality.total.agreement:
        return SummaryTable(title, [], [], NO_AGREEMENT)
    rows = []
    for scope in shown_scopes(quality):
        for side, name in (("own", "same neuron"), ("other", "other neuron")):
            scores = {metric: getattr(pair, side) for metric, pair in scope.agreement.items()}
            if scores:
                rows.append(
                    [
                        label(quality, scope) if side == "own" else "",
                        name,
                        _int(next(iter(scores.values())).n),
                        *(number(metric, scores[metric]) for metric in quality.metrics),
                    ]
                )
    return SummaryTable(
        title,
        ["", "annotation from", "neurons", *(info.title for info in quality.metrics.values())],
        rows,
        "Each annotation in turn is scored against the other annotations of its neuron (“same "
        "neuron”); then against those of another neuron of its layer (“other neuron”): what people "
        "agree on by chance. Value [95 % bootstrap interval over neurons].",
        words=(0, 1),
    )


def _neuron(quality: Quality, key: NeuronKey) -> str:
    network = f"{key.model}-{key.dataset} " if len(quality.networks) > 1 else ""
    return shown(f"{network}{key.layer}:{key.unit}")


def _span(measures: ExemplarMeasures) -> str:
    low, high = min(measures.per_neuron), max(measures.per_neuron)
    return _int(low) if low == high else f"{_int(low)} to {_int(high)}"


def _int(value: int) -> str:
    return f"{value:,}"


def _decimal(value: float | None) -> str:
    return _NONE if value is None else f"{value:.1f}"


def _share(count: int, total: int) -> str:
    """Return a share in percent; a positive share is never rounded to 0."""
    if not total or not count:
        return "0 %" if total else _NONE
    percent = 100 * count / total
    digits = 1 if percent >= 0.1 else 2
    return f"{percent:.{digits}f} %" if percent >= 0.01 else "under 0.01 %"


def _counted(count: int, total: int) -> str:
    return f"{_int(count)} ({_share(count, total)})" if total and count else _int(count)
