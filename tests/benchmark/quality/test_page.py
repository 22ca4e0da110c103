"""The page about the dataset says what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.quality.measure import measure
from benchmark.quality.rendering import to_markdown
from milannotations.annotations import read_annotations, to_dataset
from milannotations.catalog.releases import GROUPS, RELEASES
from milannotations.record import FEATURES

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "dataset.md").read_text(encoding="utf-8")


def test_the_page_lists_every_config_group_and_column() -> None:
    for release in RELEASES.values():
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{release.name}` |"))
        assert f"| {release.units:,} |" in row
        assert row.endswith("| yes |" if release.has_images else "| no |")
    assert f"{sum(release.units for release in RELEASES.values()):,} in all" in PAGE
    assert all(f"`{name}`" in PAGE for name in GROUPS if not name.startswith("not-"))
    assert all(f"`{column}`" in PAGE for column in FEATURES)


@pytest.mark.slow
def test_the_real_annotations_are_as_the_page_says(shared_data: Path) -> None:
    path = shared_data / "milannotations_resnet152_imagenet.csv"
    quality = measure(to_dataset(read_annotations(path)), resamples=10, name=path.name)
    assert quality.total.counts.neurons == 3904
    assert quality.total.counts.annotations == 11712
    assert quality.total.counts.per_neuron == {3: 3904}
    assert {part.layer: part.counts.neurons for part in quality.layers} == {
        "conv1": 64, "layer1": 256, "layer2": 512, "layer3": 1024, "layer4": 2048,
    }  # fmt: skip
    assert quality.total.text.vocabulary == pytest.approx(3200, rel=0.02)
    assert quality.total.text.mean == pytest.approx(4.6, abs=0.05)
    assert quality.total.text.longest == 67
    # All that needs no encoder stands there word for word, but for the fingerprint.
    section = to_markdown(quality).split("### Agreement")[0]
    assert section[section.index("###") :] in PAGE
    assert quality.total.agreement["exact-match"].own.value == pytest.approx(49 / (3904 * 3))
