"""The quality report as tables of plain text, which ``report`` renders."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.quality.exemplar_measures import FINDINGS, NEAR
from benchmark.quality.schema import (
    ExemplarMeasures,
    JunkAnnotations,
    Quality,
    ScopeMeasures,
)
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
        title: Its heading.
        head: Names of the columns.
        rows: Cells; none where the part cannot be measured, and then ``note`` says why.
        note: How to read it.
        words: Which columns hold words; the others hold numbers.
    """

    title: str
    head: list[str]
    rows: list[list[str]]
    note: str = ""
    words: tuple[int, ...] = (0,)


def tables(quality: Quality) -> list[SummaryTable]:
    """Return the report as tables."""
    text = [_lengths, _repetition, _frequent, _junk]
    return [
        _counts(quality),
        *(
            [make(quality) for make in text]
            if quality.total.counts.annotations
            else [SummaryTable("Words", [], [], NO_ANNOTATIONS)]
        ),
        *_exemplars(quality),
        _agreement(quality),
    ]


def label(quality: Quality, part: ScopeMeasures) -> str:
    """Return what to call a part: ``all``, its network, or its layer."""
    network = "-".join(name for name in (part.model, part.dataset) if name)
    if part.scope == "all":
        return "all"
    if part.layer is None:
        return shown(network) or "unnamed network"
    several = len(quality.networks) > 1
    return shown(f"{network} {part.layer}" if several else part.layer)


def shown_parts(quality: Quality) -> list[ScopeMeasures]:
    """Return the layers, then the networks if there are several, then all neurons."""
    networks = quality.networks if len(quality.networks) > 1 else []
    return [*quality.layers, *networks, quality.total]


def _counts(quality: Quality) -> SummaryTable:
    rows = []
    for part in shown_parts(quality):
        counts = part.counts
        more = sum(n for number, n in counts.per_neuron.items() if number > 3)
        few = [counts.per_neuron.get(number, 0) for number in range(4)]
        rows.append([label(quality, part), *map(_int, (counts.neurons, counts.annotations, *few))])
        rows[-1].append(_int(more))
    repeated = quality.total.counts.repeated_keys
    return SummaryTable(
        "Neurons and annotations",
        ["", "neurons", "annotations", "0", "1", "2", "3", "more"],
        rows,
        "“0” to “more”: neurons with so many annotations."
        + (f" {_int(repeated)} records repeat the key of another." if repeated else ""),
    )


def _lengths(quality: Quality) -> SummaryTable:
    rows = []
    for part in shown_parts(quality):
        text = part.text
        spread = [_decimal(value) for value in (text.mean, text.median, text.p95)]
        longest = _NONE if text.longest is None else _int(text.longest)
        rows.append([label(quality, part), *spread, longest])
    return SummaryTable(
        "Length in words",
        ["", "mean", "median", "95th percentile", "longest"],
        rows,
        "A word is a run of letters and digits; an apostrophe or a hyphen between two runs joins "
        "them.",
    )


def _repetition(quality: Quality) -> SummaryTable:
    rows = []
    for part in shown_parts(quality):
        text, said = part.text, sum(part.text.lengths.values())
        rows.append(
            [
                label(quality, part),
                _int(text.vocabulary),
                _int(text.once),
                _counted(text.distinct, said),
                _counted(text.shared, said),
                _counted(text.repeating_neurons, part.counts.neurons),
            ]
        )
    return SummaryTable(
        "Vocabulary and repetition",
        ["", "words", "used once", "distinct annotations", "shared", "repeating neurons"],
        rows,
        "Words “used once” occur in a single annotation. Annotations are compared in lower case, "
        "without spaces and full stops at the ends; “shared” ones are those that another neuron "
        "of the same row has too. A “repeating” neuron has one annotation twice.",
    )


def _frequent(quality: Quality) -> SummaryTable:
    text = quality.total.text
    said = sum(text.lengths.values())
    rows = [[shown(one.text), _int(one.count), _share(one.count, said)] for one in text.frequent]
    return SummaryTable("Most frequent annotations", ["annotation", "times", "share"], rows)


def _junk(quality: Quality) -> SummaryTable:
    found = quality.total.text.junk
    rows = []
    for kind, title in KINDS.items():
        junk = found.get(kind, JunkAnnotations(count=0, examples=[]))
        said = quality.total.counts.annotations
        examples = "; ".join(
            f"{_where(quality, example.key)} “{shown(example.text)}”" for example in junk.examples
        )
        rows.append([title, _int(junk.count), _share(junk.count, said), examples])
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
    masks, order = [], []
    for part in shown_parts(quality):
        name, seen = label(quality, part), part.exemplars
        if seen is None:
            masks.append([name, "0", *[_NONE] * 4])
            order.append([name, *[_NONE] * 4])
            continue
        found = seen.findings
        masks.append(
            [
                name,
                _int(seen.neurons),
                _span(seen),
                _NONE if seen.covered is None else f"{100 * seen.covered:.1f} %",
                _counted(found["empty_masks"].count, seen.masks),
                _counted(found["full_masks"].count, seen.masks),
            ]
        )
        order.append(
            [
                name,
                _counted(found["repeated_ids"].neurons, seen.neurons),
                _counted(found["near_duplicates"].neurons, seen.neurons),
                _counted(found["not_descending"].neurons, seen.neurons),
                _counted(found["unreadable"].neurons, seen.neurons),
            ]
        )
    sizes = ", ".join(f"{size} px ({_int(number)})" for size, number in total.sizes.items())
    if total.other_sizes:
        sizes += f", others ({_int(total.other_sizes)})"
    made = [
        SummaryTable(
            "Exemplars",
            ["", "neurons", "exemplars of each", "mean mask", "empty masks", "full masks"],
            masks,
            f"{_int(total.images)} images, {_int(total.masks)} masks; sizes: {sizes or 'none'}. "
            "“Mean mask” is the share of the image that masks cover.",
        ),
        SummaryTable(
            "Neurons with exemplars repeated or out of order",
            ["", "an image id twice", "near-duplicates", "not descending", "unreadable"],
            order,
            "Near-duplicates are two images of one neuron, not of the same id, whose 64-bit "
            f"difference hashes differ in at most {NEAR} bits. “Not descending” are activations.",
        ),
    ]
    examples = []
    for name, (title, unit) in FINDINGS.items():
        finding = total.findings[name]
        if finding.count:
            where = ", ".join(_where(quality, key) for key in finding.examples)
            examples.append([title, f"{_int(finding.count)} {unit}", where])
    if examples:
        head = ["", "found", "neurons, for example"]
        made.append(SummaryTable("ExemplarMeasures to look at", head, examples, words=(0, 1, 2)))
    return made


def _agreement(quality: Quality) -> SummaryTable:
    title = "Agreement between annotators"
    if not quality.total.agreement:
        return SummaryTable(title, [], [], NO_AGREEMENT)
    rows = []
    for part in shown_parts(quality):
        if not part.agreement:
            continue
        for who in ("own", "other"):
            scores = {name: getattr(one, who) for name, one in part.agreement.items()}
            rows.append(
                [
                    label(quality, part) if who == "own" else "",
                    "same neuron" if who == "own" else "other neuron",
                    _int(next(iter(scores.values())).n),
                    *(number(metric, scores[metric]) for metric in quality.metrics),
                ]
            )
    return SummaryTable(
        title,
        ["", "annotation from", "neurons", *(facts.title for facts in quality.metrics.values())],
        rows,
        "Each annotation in turn is scored against the other annotations of its neuron (“same "
        "neuron”); then against those of another neuron of its layer (“other neuron”): what people "
        "agree on by chance. Value [95 % bootstrap interval over neurons].",
        words=(0, 1),
    )


def _where(quality: Quality, key: NeuronKey) -> str:
    network = f"{key.model}-{key.dataset} " if len(quality.networks) > 1 else ""
    return shown(f"{network}{key.layer}:{key.unit}")


def _span(seen: ExemplarMeasures) -> str:
    low, high = min(seen.per_neuron), max(seen.per_neuron)
    return _int(low) if low == high else f"{_int(low)} to {_int(high)}"


def _int(value: int) -> str:
    return f"{value:,}"


def _decimal(value: float | None) -> str:
    return _NONE if value is None else f"{value:.1f}"


def _share(count: int, of: int) -> str:
    """Return a share in percent, never rounded to nothing where there is something."""
    if not of or not count:
        return "0 %" if of else _NONE
    percent = 100 * count / of
    digits = 1 if percent >= 0.1 else 2
    return f"{percent:.{digits}f} %" if percent >= 0.01 else "under 0.01 %"


def _counted(count: int, of: int) -> str:
    return f"{_int(count)} ({_share(count, of)})" if of and count else _int(count)
