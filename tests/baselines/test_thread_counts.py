"""The same input gives the same output, whatever the number of threads and the batches."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from baselines.features.cache import exemplar_features
from baselines.milan.decoding import VARIANTS
from baselines.milan.training import train
from baselines.milan.training_config import TrainingConfig
from baselines.retrieval.describer import Retrieval
from benchmark.contrastive import ContrastiveModel
from milannotations.threads import fixed_threads, in_copies, one_thread, side_by_side
from tests.baselines.milan.made_up import neurons, tiny_encoder, tiny_model
from tests.baselines.milan.test_training import SMALL, made_up
from tests.baselines.tiny_transformers import tiny_blip, tiny_clip

COUNTS = (1, 2, 4)


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
def test_every_describer_and_the_builder_in_processes_of_their_own(tmp_path: Path) -> None:
    """Training of MILAN included; each process has a cache of its own."""
    tiny_clip(tmp_path / "clip")
    tiny_blip(tmp_path / "blip")
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    for number in range(24):
        pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((96, 96)).save(tmp_path / "images" / f"{number}.png")
    outcome = {}
    for count in COUNTS:
        threads = {f"{name}_NUM_THREADS": str(count) for name in ("OMP", "MKL", "OPENBLAS")}
        home = {"MILANNOTATIONS_HOME": str(tmp_path / f"home-{count}")}
        # Without it, waiting threads of libgomp take the processors that they wait for.
        environment = {**os.environ, **threads, **home, "OMP_WAIT_POLICY": "PASSIVE"}
        done = subprocess.run(
            [sys.executable, "-m", "tests.baselines.said_by_all", str(tmp_path)],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        outcome[count] = json.loads(done.stdout.splitlines()[-1])
        # MKL takes no more threads than there are processors.
        assert outcome[count].pop("threads") <= count
    for count in COUNTS[1:]:
        for name, texts in outcome[1].items():
            assert outcome[count][name] == texts, f"{name} with {count} threads"
    assert len(set(outcome[1]["retrieval"])) > 3
    assert len(set(outcome[1]["milan, sample"])) > 3


def test_features_depend_neither_on_threads_nor_on_batches_nor_on_company() -> None:
    encoder, records = tiny_encoder(), neurons(6)
    expected = exemplar_features(encoder, records)
    for count in COUNTS:
        torch.set_num_threads(count)
        for batch_size in (1, 4, 32):
            outcome = exemplar_features(encoder, records, batch_size=batch_size)
            assert torch.equal(outcome, expected)
        assert torch.get_num_threads() == count
    alone = exemplar_features(encoder, records.select([4]))
    assert torch.equal(alone[0], expected[4])


@pytest.mark.parametrize("variant", VARIANTS)
def test_milan_says_the_same_of_a_neuron_alone(variant: str) -> None:
    model, records = tiny_model(), neurons(6)
    model._encoder.append(tiny_encoder())
    expected = model.describe(records, VARIANTS[variant])
    for count in COUNTS:
        torch.set_num_threads(count)
        assert model.describe(records, VARIANTS[variant], batch_size=2) == expected
    alone = [model.describe(records.select([i]), VARIANTS[variant])[0] for i in (5, 0)]
    assert alone == [expected[5], expected[0]]


def test_training_gives_the_same_weights_with_any_number_of_threads(tmp_path: Path) -> None:
    options = TrainingConfig(epochs=3, batch_size=8)
    weights = []
    for count in COUNTS:
        torch.set_num_threads(count)
        model = train(
            made_up(), tiny_encoder(), tmp_path / f"model-{count}", options=options, **SMALL
        )
        assert torch.get_num_threads() == count
        assert model.config.training["threads"] == 1
        weights.append(load_file(tmp_path / f"model-{count}" / "model.safetensors"))
    for other in weights[1:]:
        assert all(torch.equal(value, other[name]) for name, value in weights[0].items())


def test_clip_sees_an_image_as_it_does_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)) for _ in range(5)]
    masks = torch.rand(5, 32, 32, generator=torch.Generator().manual_seed(0))
    texts = ["red circles", "a dog", "blue", "striped squares", "things"]
    folder = str(tiny_clip(tmp_path / "clip"))
    first = ContrastiveModel(folder, batch_size=64)
    expected = first.images(images), first.images(images, masks), first.texts(texts)
    for count, batch_size in ((2, 1), (4, 3)):
        torch.set_num_threads(count)
        model = ContrastiveModel(folder, batch_size=batch_size)
        outcome = model.images(images), model.images(images, masks), model.texts(texts)
        assert all(torch.equal(a, b) for a, b in zip(outcome, expected, strict=True))
    assert torch.equal(first.images(images[3:4])[0], expected[0][3])
    assert torch.equal(first.images(images[3:4], masks[3:4])[0], expected[1][3])


def test_retrieval_takes_the_first_of_neighbours_that_are_as_near(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two training neurons with the same exemplars tie, whatever is summed in which order."""
    records = neurons(5)
    same = records.select([0, 1, 2, 3, 1, 4])
    texts = [[f"text {i}"] for i in range(6)]
    same = same.remove_columns("annotations").add_column(
        "annotations", texts, feature=records.features["annotations"]
    )
    describer = Retrieval(device="cpu")
    describer._encoder = tiny_encoder()
    describer.fit(same)
    for count in COUNTS:
        torch.set_num_threads(count)
        (outcome,) = describer.describe(records.select([1]))
        assert outcome.text == "text 1"
        assert outcome.alternatives[0] == "text 4"
        assert outcome.score == pytest.approx(1)


def test_helpers_keep_order_and_threads() -> None:
    torch.set_num_threads(3)
    with one_thread() as before:
        assert before == 3
        assert torch.get_num_threads() == 1
    with fixed_threads(2):
        assert side_by_side(lambda n: (n, torch.get_num_threads()), range(5)) == [
            (n, 1) for n in range(5)
        ]
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == 3
    module = torch.nn.Linear(2, 2)
    copies = in_copies(module, lambda own, n: (n, own), range(7))
    assert [n for n, _ in copies] == list(range(7))
    assert all(own.weight is module.weight for _, own in copies)
    with pytest.raises(ValueError, match="seven"):
        side_by_side(_raises, range(9))
    assert torch.get_num_threads() == 3


def _raises(number: int) -> int:
    if number == 7:
        raise ValueError("seven")
    return number
