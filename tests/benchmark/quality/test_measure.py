"""The whole report: its parts, agreement, JSON, Markdown and figures."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset
from PIL import Image
from rich.console import Console

from benchmark.quality.agreement import compare, make_metrics
from benchmark.quality.figures import NAMES, figures
from benchmark.quality.measure import measure
from benchmark.quality.rendering import escape_markdown, for_terminal, to_markdown
from benchmark.quality.schema import Quality, read_quality
from benchmark.quality.summary_tables import NO_AGREEMENT, NO_ANNOTATIONS, NO_EXEMPLARS, label
from benchmark.text_encoders import PACKAGED
from milannotations.annotations import to_dataset
from milannotations.errors import InputError
from milannotations.record import NeuronKey
from tests.benchmark.quality.records import Maker, dataset

THINGS = ["dogs", "cats", "wheels", "faces", "lamps", "boats", "birds", "trees"]


def _agreeing(layers: int = 2) -> Dataset:
    """Neurons whose three annotators say the same thing of them, and a different one of each."""
    keys = [NeuronKey("m", "d", f"layer{i}", u) for i in range(layers) for u in range(8)]
    return to_dataset({k: [f"many small {THINGS[k.unit]} seen here"] * 3 for k in keys})


def _render(quality: Quality, width: int = 100) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    for table in for_terminal(quality):
        console.print(table)
    return console.export_text()


def test_parts_are_all_networks_and_layers_in_natural_order(record: Maker) -> None:
    records = [record(u, f"features.{n}") for n in (10, 2) for u in range(2)]
    records += [record(0, "conv1", dataset="other")]
    quality = measure(dataset(records))
    assert [(p.level, p.dataset, p.layer) for p in quality.parts] == [
        ("all", None, None), ("network", "data", None), ("network", "other", None),
        ("layer", "data", "features.2"), ("layer", "data", "features.10"),
        ("layer", "other", "conv1"),
    ]  # fmt: skip
    assert [part.counts.neurons for part in quality.parts] == [5, 4, 1, 2, 2, 1]
    assert sum(p.counts.annotations for p in quality.layers) == quality.total.counts.annotations
    assert sum(p.exemplars.images for p in quality.layers if p.exemplars) == 10
    assert [label(quality, part) for part in quality.parts] == [
        "all", "net-data", "net-other", "net-data features.2", "net-data features.10",
        "net-other conv1",
    ]  # fmt: skip
    assert quality.parts[-1].agreement == {}  # it has one neuron
    assert quality.total.agreement["bleu"].own.n == 4


def test_agreement_of_people_is_told_from_chance() -> None:
    quality = measure(_agreeing(), resamples=50)
    for part in quality.parts:
        exact, bleu = part.agreement["exact-match"], part.agreement["bleu"]
        assert (exact.own.value, exact.own.low, exact.own.high) == (1, 1, 1)
        assert exact.other.value == 0
        assert bleu.own.value == pytest.approx(100)
        assert bleu.other.value < 50
    assert {p.agreement["bleu"].own.n for p in quality.layers} == {8}


def test_annotations_are_dealt_out_within_the_layer() -> None:
    # In each layer all neurons are called alike: only a neuron of another layer would differ.
    keys = [NeuronKey("m", "d", f"layer{i}", u) for i in range(3) for u in range(4)]
    annotations = [[f"things of {key.layer}"] * 2 for key in keys]
    agreed = compare(keys, annotations, make_metrics(None, "cpu"), seed=3)
    assert agreed is not None
    own, other = agreed.statistics["exact-match"]
    assert (own[:, 0] / own[:, 1]).tolist() == [1.0] * 12
    assert np.array_equal(own, other)


def test_exact_match_is_the_share_of_agreeing_pairs() -> None:
    keys = [NeuronKey("m", "d", "l", u) for u in range(3)]
    said = [["A dog.", "a dog", "cat"], ["sky", "sea", "sun"], ["x y", "x y", "x y"]]
    agreed = compare(keys, said, make_metrics(None, "cpu"), seed=0)
    assert agreed is not None
    own, _ = agreed.statistics["exact-match"]
    assert (own[:, 0] / own[:, 1]).tolist() == pytest.approx([1 / 3, 0, 1])


def test_neurons_that_cannot_be_compared_are_left_out() -> None:
    keys = [NeuronKey("m", "d", layer, u) for layer in ("a", "b") for u in range(2)]
    said = [["dog", "dog"], ["cat", " ."], ["sun", "sun"], ["sea", "sky"]]
    agreed = compare(keys, said, make_metrics(None, "cpu"), seed=0)
    assert agreed is not None
    assert list(agreed.keys) == keys[2:]  # neuron a:0 is alone in its layer without a:1
    assert compare(keys[:2], said[:2], make_metrics(None, "cpu"), seed=0) is None


def test_with_an_encoder_all_metrics_are_measured() -> None:
    quality = measure(_agreeing(1), encoder=PACKAGED, resamples=50)
    assert list(quality.metrics) == ["exact-match", "bleu", "bertscore", "identification"]
    found = quality.total.agreement
    assert found["identification"].own.value == 1.0
    assert found["identification"].other.value < 0.7
    assert found["bertscore"].own.value == pytest.approx(1, abs=1e-3)
    assert found["bertscore"].other.high < 0.95
    assert "Identification AUC" in to_markdown(quality)


def test_text_only_data_leave_exemplars_out_and_say_so(tmp_path: Path) -> None:
    quality = measure(_agreeing(), resamples=10)
    assert quality.total.exemplars is None
    text = to_markdown(quality)
    assert NO_EXEMPLARS in text
    assert NO_EXEMPLARS.split(",")[0] in _render(quality)
    assert "near-duplicates" not in text
    assert [path.name for path in figures(quality, tmp_path)] == list(NAMES[:3])


def test_exemplars_without_annotations(record: Maker, tmp_path: Path) -> None:
    stale = tmp_path / NAMES[0]
    stale.write_bytes(b"of an earlier report")
    quality = measure(dataset([record(u, annotations=[]) for u in range(3)]))
    text = to_markdown(quality)
    assert NO_ANNOTATIONS in text
    assert NO_AGREEMENT in text
    assert "| layer1 | 3 | 2 | 25.0 % | 0 | 0 |" in text
    assert [path.name for path in figures(quality, tmp_path)] == [NAMES[3]]
    assert not stale.exists()


def test_unreadable_images_are_reported_and_nulls_are_empty(record: Maker) -> None:
    broken = record(0, annotations=[None, "a dog"])
    broken["masks"][1]["bytes"] = b"\x89PNG\r\n\x1a\n"
    quality = measure(dataset([broken, record(1)]))
    assert quality.total.exemplars is not None
    assert quality.total.exemplars.findings["unreadable"].count == 1
    assert quality.total.text.junk["empty"].count == 1
    assert quality.fingerprint is None
    assert "| cannot be read | 1 images and masks | layer1:0 |" in to_markdown(quality)


def test_json_round_trip(record: Maker, tmp_path: Path) -> None:
    quality = measure(dataset([record(u) for u in range(3)]), resamples=20, name="mine")
    path = quality.save(tmp_path / "quality.json")
    assert read_quality(path) == quality
    assert '"schema_version": 1' in path.read_text()
    assert to_markdown(read_quality(path)) == to_markdown(quality)
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("text", ["{", "[]", '{"schema_version": 2}', "\ufeff"])
def test_bad_json_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "q.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"q\.json"):
        read_quality(path)
    with pytest.raises(InputError, match="does not exist"):
        read_quality(tmp_path / "none.json")


def test_hostile_strings_stay_text() -> None:
    bad = "www.a.org | <script>x</script> [b](http://c) ![i](//d) `e` **f** \x1b[31m\n| new | row"
    keys = [NeuronKey("m|m", "d", "[bold]l|1[/bold]", u) for u in range(2)]
    quality = measure(to_dataset({keys[0]: [bad, bad], keys[1]: ["a dog", "a cat"]}), resamples=10)
    text = to_markdown(quality)
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert "](http" not in text.replace("\\](", "")
    assert "http://" not in text.replace("`http://c`", "")  # code is no link
    assert "www.a" not in text.replace("`www.a.org`", "")
    assert "\x1b" not in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    columns = {line: line.replace("\\|", "").count("|") for line in tables}
    assert set(columns.values()) <= {4, 5, 6, 7, 9}
    junk = next(line for line in tables if "web address" in line)
    assert columns[junk] == 5
    assert "\\| new \\| row" in junk
    shown = _render(quality, 300)
    assert "[bold]l|1[/bold]" in shown
    assert "\x1b" not in shown


def test_escaping_keeps_plain_text() -> None:
    assert escape_markdown("0.5 [0.4, 0.6], conv-1: a dog's") == "0.5 [0.4, 0.6], conv-1: a dog's"
    assert escape_markdown("layer_1.csv _a_ __b__") == "layer_1.csv \\_a\\_ \\_\\_b\\_\\_"
    assert escape_markdown("a\\|b") == "a\\\\\\|b"


def test_figures_are_pngs_whatever_the_annotations_say(record: Maker, tmp_path: Path) -> None:
    texts = ["$x^2$ and $y", "$\\frac", "猫の顔 " * 20]
    records = [record(u, f"layer_{n}$", annotations=texts) for n in range(3) for u in range(2)]
    paths = figures(measure(dataset(records), resamples=10), tmp_path)
    assert [path.name for path in paths] == list(NAMES)
    for path in paths:
        with Image.open(path) as image:
            assert image.format == "PNG"
            assert image.width > 900
            assert len(image.convert("RGB").getcolors(1 << 24)) > 20
        assert path.stat().st_size < 120_000


def test_many_layers_are_drawn_as_networks(tmp_path: Path) -> None:
    keys = [NeuronKey("m", d, f"l{i}", u) for d in "ab" for i in range(40) for u in range(2)]
    quality = measure(to_dataset({k: ["a dog", f"cat {k.unit}"] for k in keys}), resamples=10)
    paths = figures(quality, tmp_path)
    with Image.open(paths[2]) as image:
        assert image.height < 600


def test_input_is_checked_before_work() -> None:
    good = _agreeing(1)
    with pytest.raises(InputError, match="annotations"):
        measure(good.remove_columns("annotations"))
    with pytest.raises(InputError, match="no neurons"):
        measure(good.select([]), name="mine")
    with pytest.raises(InputError, match="resamples is 0"):
        measure(good, resamples=0)
    with pytest.raises(InputError, match=r"\./nowhere"):
        measure(good, encoder="./nowhere")
    with pytest.raises(InputError, match="device 'gpu'"):
        measure(good, encoder=PACKAGED, device="gpu")
