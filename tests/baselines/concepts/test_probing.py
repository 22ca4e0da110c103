from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from baselines.concepts import probing
from baselines.concepts.activations import RecordedMaps
from baselines.concepts.counting import Masking
from baselines.concepts.packing import PackedConcepts, packed
from baselines.concepts.probing import tallies
from baselines.concepts.tally import Tally
from milannotations.errors import InputError
from tests.baselines.concepts.made_up import MadeUp, record

IMAGES, UNITS, SIDE = 20, 6, 24


def random_maps(size: tuple[int, int] = (5, 6), seed: int = 0) -> np.ndarray:
    """Maps of a dead unit, a rare one and some that fire often."""
    rng = np.random.default_rng(seed)
    maps = np.maximum(rng.standard_normal((IMAGES, UNITS, *size)), 0).astype(np.float32)
    maps[:, 0] = 0
    maps[1:, 1] = 0
    return maps


def concepts(tmp_path: Path) -> PackedConcepts:
    return packed(MadeUp(IMAGES), folder=tmp_path / "labels", shape=(SIDE, SIDE))


def slow_tally(
    maps: np.ndarray, source: MadeUp, quantile: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Thresholds, |unit and concept|, and both gated counts, image by image with Pillow."""
    flat = maps.transpose(1, 0, 2, 3).reshape(UNITS, -1)
    thresholds = np.quantile(flat, 1 - quantile, axis=1, method="inverted_cdf")
    both = np.zeros((UNITS, 8), dtype=int)
    in_images, in_masks = np.zeros((2, UNITS, 3), dtype=int)
    for i in range(IMAGES):
        labels = source.labels(i)
        concept_masks = np.array(
            [
                (labels.pixels == c + 1).any(0) | (c + 1 in labels.whole)
                if len(labels.pixels)
                else np.full((SIDE, SIDE), c + 1 in labels.whole)
                for c in range(8)
            ]
        )
        for u in range(UNITS):
            up = Image.fromarray(maps[i, u]).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            mask = np.asarray(up) > thresholds[u]
            both[u] += (concept_masks & mask).sum((1, 2))
            for number, category in enumerate(source.categories):
                mine = [c for c in range(8) if source.concepts[c].category == category]
                in_images[u, number] += mask.sum() * concept_masks[mine].any()
                in_masks[u, number] += mask.sum() * (concept_masks[mine] & mask).any()
    return thresholds, both, in_images, in_masks


@pytest.mark.parametrize("size", [(5, 6), (24, 24), (48, 40), (1, 1)])
def test_tally_is_what_a_slow_loop_over_pixels_counts(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    maps = random_maps(size)
    found = tallies(
        RecordedMaps(record(tmp_path / "maps", {"conv": maps})),
        concepts(tmp_path),
        Masking(quantile=0.1),
        tmp_path / "work",
    )["conv"]
    thresholds, both, in_images, in_masks = slow_tally(maps, MadeUp(IMAGES), 0.1)
    np.testing.assert_array_equal(found.thresholds, thresholds)
    holds = concepts(tmp_path).partition.holds
    np.testing.assert_array_equal((found.counts @ holds).toarray().astype(int), both)
    np.testing.assert_array_equal(found.in_images, in_images)
    np.testing.assert_array_equal(found.in_masks, in_masks)
    assert found.counts[[0]].nnz == 0  # dead
    assert both[2:].any()


def test_an_absolute_threshold_needs_no_first_pass(tmp_path: Path) -> None:
    maps = random_maps()
    recorded = RecordedMaps(record(tmp_path / "maps", {"conv": maps}))
    found = tallies(recorded, concepts(tmp_path), Masking(threshold=1.5), tmp_path / "w")["conv"]
    assert set(found.thresholds) == {1.5}
    ups = [
        np.asarray(Image.fromarray(m).resize((SIDE, SIDE), Image.Resampling.BILINEAR)) > 1.5
        for m in maps[:, 3]
    ]
    assert found.counts[[3]].sum() == np.sum(ups)


def test_thresholds_over_upsampled_maps(tmp_path: Path) -> None:
    maps = random_maps()
    recorded = RecordedMaps(record(tmp_path / "maps", {"conv": maps}))
    masking = Masking(quantile=0.1, over="upsampled")
    found = tallies(recorded, concepts(tmp_path), masking, tmp_path / "work")["conv"]
    active = found.counts.sum(axis=1) / (IMAGES * SIDE * SIDE)
    np.testing.assert_allclose(active[2:], 0.1, atol=1e-3)


def test_tallies_are_read_not_counted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = RecordedMaps(record(tmp_path / "maps", {"a": random_maps()}))
    labels = concepts(tmp_path)
    first = tallies(recorded, labels, Masking(), tmp_path / "work")
    monkeypatch.setattr(RecordedMaps, "run", lambda *_: pytest.fail("ran"))
    again = tallies(recorded, labels, Masking(), tmp_path / "work")
    assert (first["a"].counts != again["a"].counts).nnz == 0


def test_one_more_layer_costs_only_itself(tmp_path: Path) -> None:
    record(tmp_path / "maps", {"a": random_maps(), "b": random_maps(seed=1)})
    labels = concepts(tmp_path)
    recorded = RecordedMaps(tmp_path / "maps")
    every, recorded.layers = recorded.layers, {"a": recorded.layers["a"]}
    tallies(recorded, labels, Masking(), tmp_path / "work")
    ran: list[str] = []
    run = recorded.run

    def watched(span, layers, *rest):
        ran.extend(layers)
        run(span, layers, *rest)

    recorded.layers = every
    recorded.run = watched  # type: ignore[method-assign]
    assert set(tallies(recorded, labels, Masking(), tmp_path / "work")) == {"a", "b"}
    assert set(ran) == {"b"}


@pytest.mark.parametrize("stop_in", ["Thresholds", "Masks"])
def test_an_interrupted_count_goes_on_with_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_in: str
) -> None:
    monkeypatch.setattr(probing, "_SPAN", 4)
    monkeypatch.setattr(probing, "_MAX_CACHE", 0)
    recorded = RecordedMaps(record(tmp_path / "maps", {"a": random_maps(), "b": random_maps()}))
    labels = concepts(tmp_path)
    undisturbed = tallies(recorded, labels, Masking(quantile=0.1), tmp_path / "other")
    run, spans = recorded.run, []

    def failing(span, layers, update, advance, say):
        spans.append(span)
        if len(spans) == (3 if stop_in == "Thresholds" else 8):
            run(range(span.start, span.start + 1), layers, update, advance, say)
            raise KeyboardInterrupt
        run(span, layers, update, advance, say)

    recorded.run = failing  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        tallies(recorded, labels, Masking(quantile=0.1), tmp_path / "work")
    found = tallies(recorded, labels, Masking(quantile=0.1), tmp_path / "work")
    # Ten spans in two passes, and the one that failed a second time.
    assert len(spans) == 11
    for layer, tally in undisturbed.items():
        assert (tally.counts != found[layer].counts).nnz == 0
        np.testing.assert_array_equal(tally.in_masks, found[layer].in_masks)
    assert not [*tmp_path.glob("work/.*")]
    assert {path.name[:6] for path in tmp_path.glob("work/*/*")} == {"tally-"}


@pytest.mark.parametrize("kept_bytes", [0, 2**32])
def test_unfinished_work_is_hidden_and_goes_when_its_tallies_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept_bytes: int
) -> None:
    monkeypatch.setattr(probing, "_MAX_CACHE", kept_bytes)
    recorded = RecordedMaps(record(tmp_path / "maps", {"a": random_maps(), "b": random_maps()}))
    labels = concepts(tmp_path)
    undisturbed = tallies(recorded, labels, Masking(quantile=0.1), tmp_path / "other")
    save, run, ran = Tally.save, recorded.run, []

    def killed(tally: Tally, path: Path) -> None:
        if path.name.startswith("tally-") and tally.layer == "b":
            raise KeyboardInterrupt
        save(tally, path)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Tally, "save", killed)
        tallies(recorded, labels, Masking(quantile=0.1), tmp_path / "work")
    assert [path.name[:6] for path in tmp_path.glob("work/[0-9a-f]*/*")] == ["tally-"]

    def watched(span, *rest):
        ran.append(span)
        run(span, *rest)

    recorded.run = watched  # type: ignore[method-assign]
    tallies(recorded, labels, Masking(quantile=0.1), tmp_path / "work")
    assert not ran  # both layers had been counted
    files = {path.name: path.read_bytes() for path in tmp_path.glob("work/*/*")}
    assert files == {path.name: path.read_bytes() for path in tmp_path.glob("other/*/*")}
    assert len(files) == len(undisturbed)
    assert not [*tmp_path.glob("work/.*")]


def test_few_maps_are_kept_and_computed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = concepts(tmp_path)
    recorded = RecordedMaps(record(tmp_path / "maps", {"a": random_maps()}))
    run, ran = recorded.run, []

    def watched(span, *rest):
        ran.append(span)
        run(span, *rest)

    recorded.run = watched  # type: ignore[method-assign]
    once = tallies(recorded, labels, Masking(quantile=0.1), tmp_path / "once")["a"]
    assert len(ran) == 1
    assert not [*tmp_path.glob("once/.*")]
    monkeypatch.setattr(probing, "_MAX_CACHE", 0)
    twice = tallies(recorded, labels, Masking(quantile=0.1), tmp_path / "twice")["a"]
    assert len(ran) == 3
    assert (once.counts != twice.counts).nnz == 0


def test_kept_maps_of_an_interrupted_run_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "_CACHED_SPAN", 4)
    labels = concepts(tmp_path)
    recorded = RecordedMaps(record(tmp_path / "maps", {"a": random_maps()}))
    undisturbed = tallies(recorded, labels, Masking(quantile=0.1), tmp_path / "other")["a"]
    run, ran = recorded.run, []

    def failing(span, *rest):
        ran.append(span)
        if len(ran) == 4:
            raise KeyboardInterrupt
        run(span, *rest)

    recorded.run = failing  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        tallies(recorded, labels, Masking(quantile=0.1), tmp_path / "work")
    found = tallies(recorded, labels, Masking(quantile=0.1), tmp_path / "work")["a"]
    assert len(ran) == 6
    assert (found.counts != undisturbed.counts).nnz == 0


def test_a_damaged_tally_is_counted_again(tmp_path: Path) -> None:
    recorded = RecordedMaps(record(tmp_path / "maps", {"a": random_maps()}))
    labels = concepts(tmp_path)
    first = tallies(recorded, labels, Masking(), tmp_path / "work")["a"]
    path = next(tmp_path.glob("work/*/tally-*"))
    path.write_bytes(path.read_bytes()[:-8])
    again = tallies(recorded, labels, Masking(), tmp_path / "work")["a"]
    assert (first.counts != again.counts).nnz == 0


def test_tallies_of_other_options_are_kept_apart(tmp_path: Path) -> None:
    recorded = RecordedMaps(record(tmp_path / "maps", {"a": random_maps()}))
    labels = concepts(tmp_path)
    few = tallies(recorded, labels, Masking(quantile=0.01), tmp_path / "work")["a"]
    many = tallies(recorded, labels, Masking(quantile=0.2), tmp_path / "work")["a"]
    assert few.counts.sum() < many.counts.sum()


def test_bad_maps(tmp_path: Path) -> None:
    labels = concepts(tmp_path)
    maps = random_maps()
    short = RecordedMaps(record(tmp_path / "short", {"a": maps[:7]}))
    with pytest.raises(InputError, match="of 7 images, but labels of 20"):
        tallies(short, labels, Masking(), tmp_path / "work")
    maps[11, 2, 0, 0] = np.nan
    broken = RecordedMaps(record(tmp_path / "broken", {"a": maps}))
    with pytest.raises(InputError, match="unit 2 is NaN or infinity for image 11"):
        tallies(broken, labels, Masking(), tmp_path / "work")
    with pytest.raises(InputError, match=r"quantile is 1\.5"):
        tallies(broken, labels, Masking(quantile=1.5), tmp_path / "work")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "it should read"),
        ('{"layers": {}}', "it should read"),
        ('{"input_size": [4, 4], "layers": {}}', "names no layer"),
        ('{"input_size": [4, 4], "layers": {"a": "../a.npy"}}', "outside the folder"),
        ('{"input_size": [4, 4], "layers": {"a": "b.npy"}}', "did you mean"),
        (
            '{"input_size": [4, 4], "layers": {"a": "text.npy"}}',
            "is no readable .npy file|holds object",
        ),
        ('{"input_size": [4, 4], "layers": {"a": "flat.npy"}}', "shape \\(5,\\)"),
        ('{"input_size": [4, 4], "layers": {"a": "whole.npy"}}', "of int64"),
        ('{"input_size": [4, 4], "layers": {"a": "a.npy", "c": "c.npy"}}', "different numbers"),
        (
            '{"input_size": [4, 4], "layers": {"a": "pickled.npy"}}',
            "is no readable .npy file|holds object",
        ),
    ],
)
def test_bad_recorded_activations(tmp_path: Path, text: str, message: str) -> None:
    record(tmp_path, {"a": np.zeros((3, 2)), "c": np.zeros((4, 2))})
    (tmp_path / "text.npy").write_text("hello")
    np.save(tmp_path / "flat.npy", np.zeros(5))
    np.save(tmp_path / "whole.npy", np.zeros((3, 2, 2, 2), dtype=int))
    np.save(tmp_path / "pickled.npy", np.array([{}], dtype=object), allow_pickle=True)
    (tmp_path / "activations.json").write_text(text)
    with pytest.raises(InputError, match=message):
        RecordedMaps(tmp_path)


def test_recorded_activations_of_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        RecordedMaps(tmp_path / "nowhere")


def test_a_tally_of_another_version_is_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(1)}, tmp_path / "t.safetensors", metadata={"tally": '{"format": "0"}'})
    with pytest.raises(ValueError, match="version 0"):
        Tally.load(tmp_path / "t.safetensors")


def test_maps_on_another_device_count_the_same(tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    labels = concepts(tmp_path)
    folder = record(tmp_path / "maps", {"a": random_maps()})
    here = tallies(RecordedMaps(folder), labels, Masking(), tmp_path / "cpu")["a"]
    gpu = torch.device("cuda")
    there = tallies(RecordedMaps(folder, gpu), labels, Masking(), tmp_path / "gpu", gpu)["a"]
    assert (here.counts != there.counts).nnz == 0


@pytest.mark.parametrize("span", [4, 1024])
def test_exemplars_are_the_strongest_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, span: int
) -> None:
    monkeypatch.setattr(probing, "_CACHED_SPAN", span)
    maps = random_maps()
    recorded = RecordedMaps(record(tmp_path / "maps", {"a": maps}))
    tally = tallies(recorded, concepts(tmp_path), Masking(quantile=0.1), tmp_path / "work")["a"]
    assert tally.top is not None
    peaks = maps.max((2, 3))
    for unit in range(2, UNITS):
        order = np.argsort(-peaks[:, unit], kind="stable")[:5]
        np.testing.assert_array_equal(tally.top.ids[unit], order)
        np.testing.assert_array_equal(tally.top.peaks[unit], peaks[order, unit])
        np.testing.assert_array_equal(tally.top.maps[unit], maps[order, unit])
