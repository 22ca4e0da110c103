"""Measures the quality of a dataset of neuron records."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

from datasets import Dataset

from benchmark.intervals import RESAMPLES
from benchmark.quality.agreement import compare, make_metrics
from benchmark.quality.exemplar_measures import ExemplarSums, inspect_all
from benchmark.quality.schema import Agreement, Quality, ScopeMeasures
from benchmark.quality.text_measures import count, measure_text
from milannotations.errors import InputError
from milannotations.fingerprints import fingerprint
from milannotations.progress import progress_bar
from milannotations.record import FEATURES, NeuronKey, keys_of

if TYPE_CHECKING:
    from collections.abc import Hashable

_LIBRARIES = ("milannotations", "datasets", "pillow", "sacrebleu", "bert-score", "torch")
_ALL = ()


def measure(
    neurons: Dataset,
    *,
    encoder: str | None = None,
    device: str = "cpu",
    resamples: int = RESAMPLES,
    seed: int = 0,
    name: str = "",
) -> Quality:
    """Measure counts, text, exemplars and agreement, of all neurons, networks and layers.

    Args:
        neurons: Records with ``milannotations.record.FEATURES``; images and masks may be missing.
        encoder: Language model of BERTScore and identification (see ``benchmark.text_encoders``);
            without one, agreement is measured by exact match and BLEU alone.
        device: Where the encoder runs.
        resamples: Bootstrap resamples over neurons; 1000 or more for published numbers.
        seed: Seed of the bootstrap, and of assigning annotations to other neurons.
        name: Name of the dataset in the report.

    Raises:
        InputError: If there are no neurons, columns are missing, or the encoder is not available.
    """
    missing = [column for column in FEATURES if column not in neurons.column_names]
    if missing:
        raise InputError(f"{name or 'the dataset'} lacks the columns {missing}")
    if len(neurons) == 0:
        raise InputError(f"{name or 'the dataset'} holds no neurons")
    if resamples < 1:
        raise InputError(f"resamples is {resamples}; it must be at least 1")
    metrics = make_metrics(encoder, device)
    keys = keys_of(neurons)
    # A record may have no annotations, or a null among them, which counts as an empty one.
    annotations = [[text or "" for text in texts or []] for texts in neurons["annotations"]]
    rows_by_scope = _rows_by_scope(keys)
    exemplar_sums = {scope: ExemplarSums() for scope in rows_by_scope}
    agreement: dict[Hashable, dict[str, Agreement]] = {}
    with progress_bar() as bar:
        work = bar.add_task("Exemplars", total=len(keys))
        inspect_all(
            neurons,
            lambda key: [exemplar_sums[scope] for scope in _scopes(key)],
            lambda done: bar.advance(work, done),
        )
        work = bar.add_task("Agreement", total=len(metrics) + 1)

        def notify(line: str) -> None:
            bar.update(work, description=line)
            bar.advance(work)

        compared = compare(keys, annotations, metrics, seed, notify)
        if compared is not None:
            for level in range(3):
                agreement |= compared.of(
                    lambda key, level=level: _scopes(key)[level],  # type: ignore[misc]
                    resamples,
                    seed,
                )
        bar.update(work, description="Fingerprint")
        exemplars = exemplar_sums[_ALL].result()
        broken = exemplars is not None and exemplars.findings["unreadable"].count > 0
        content = None if broken else fingerprint(neurons)
        bar.update(work, description="Agreement", completed=len(metrics) + 1)
    measures = []
    for scope, rows in rows_by_scope.items():
        own_keys, own = [keys[row] for row in rows], [annotations[row] for row in rows]
        measures.append(
            ScopeMeasures(
                **dict(zip(("model", "dataset", "layer"), scope, strict=False)),
                counts=count(own_keys, own),
                text=measure_text(own_keys, own),
                exemplars=exemplar_sums[scope].result(),
                agreement=agreement.get(scope, {}),
            )
        )
    return Quality(
        name=name,
        fingerprint=content,
        parts=measures,
        metrics={metric.name: metric.info for metric in metrics} if agreement else {},
        encoder=encoder,
        resamples=resamples,
        seed=seed,
        versions={library: version(library) for library in _LIBRARIES},
    )


def _scopes(key: NeuronKey) -> tuple[tuple[str, ...], ...]:
    """Return the three scopes that a neuron belongs to: all, its network, its layer."""
    return _ALL, key[:2], key[:3]


def _rows_by_scope(keys: Sequence[NeuronKey]) -> dict[tuple[str, ...], list[int]]:
    """Return the rows of every scope: all, then networks as they come, then their layers."""
    rows: dict[tuple[str, ...], list[int]] = {}
    for row, key in enumerate(keys):
        for scope in _scopes(key):
            rows.setdefault(scope, []).append(row)
    networks = [scope for scope in rows if len(scope) == 2]
    rank: dict[tuple[str, ...], int] = {scope: number for number, scope in enumerate(networks)}
    order = sorted(rows, key=lambda s: (len(s), rank.get(s[:2], 0), len(s) > 2 and _natural(s[2])))
    return {scope: rows[scope] for scope in order}


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a sort key that puts ``features.2`` before ``features.10``."""
    pieces = re.findall(r"\d+|\D+", name)
    return [(int(p), "") if p.isdecimal() and len(p) < 10 else (-1, p) for p in pieces]
