"""Measure how fast MILAN decodes, trains and encodes, at the paper's sizes.

Run ``python perf/milan.py``; it takes about ten minutes on two cores. Nothing is downloaded: the
weights are random, which affects the speed only in that hypotheses rarely end early, so that all 15
steps are taken. Within one run

- the batched beam search (width 50) is compared, for batches of 1 to 64 neurons, with a plain loop
  over hypotheses and with a lower bound: the LSTM's matrix products alone;
- an epoch of training on cached features is timed per description;
- encoding exemplars is compared with the bare forward pass of the same images.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from baselines.features.cache import exemplar_features
from baselines.features.encoder import ENCODERS, PyramidEncoder
from baselines.features.exemplars import DistinctExemplars
from baselines.milan.config import MilanConfig
from baselines.milan.decoding import Decoding
from baselines.milan.model import Milan
from baselines.milan.stage import Stage
from baselines.milan.training import decoder_loss
from baselines.milan.training_config import TrainingConfig
from baselines.milan.vocabulary import Vocabulary
from milannotations.device import resolve_device
from milannotations.loading import load_split

FEATURES, WORDS, K, BEAM, LENGTH = 3904, 5000, 15, 50, 15


def timed(work: Callable[[], object], device: torch.device, repeats: int = 1) -> float:
    """Return the seconds of the fastest of several runs, after an untimed one."""
    found = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        found.append(time.perf_counter() - start)
    return min(found[1:])


def paper_sized(device: torch.device) -> Milan:
    """Return a model of the paper's sizes with random weights."""
    torch.manual_seed(0)
    config = MilanConfig(encoder=ENCODERS["resnet101"], features=FEATURES, k=K)
    vocabulary = Vocabulary([f"word{number}" for number in range(WORDS)])
    return Milan(config, vocabulary).to(device).eval()


@torch.inference_mode()
def plain_loop(model: Milan, features: Tensor) -> list[tuple[float, list[int]]]:
    """Beam search for one neuron that processes hypotheses one by one; the reference."""
    exemplars, first = model.decoder.look(features)
    stop = model.vocabulary.stop
    beam = [(0.0, [model.vocabulary.start], first)]
    for _ in range(LENGTH):
        found = []
        for total, tokens, state in beam:
            if tokens[-1] == stop:
                found.append((total, tokens, state))
                continue
            last = torch.tensor([[tokens[-1]]], device=features.device)
            log, after, _ = model.decoder.step(exemplars, last, state)
            log[0, 0, model.vocabulary.unspeakable] = -torch.inf
            if len(tokens) == 1:
                log[0, 0, stop] = -torch.inf
            best = log[0, 0].topk(BEAM)
            found += [
                (total + value, [*tokens, word], after)
                for value, word in zip(best.values.tolist(), best.indices.tolist(), strict=True)
            ]
        beam = sorted(found, key=lambda one: -one[0])[:BEAM]
    return [(total, tokens[1:]) for total, tokens, _ in beam]


def floor(model: Milan, neurons: int) -> Callable[[], None]:
    """Return a function that computes only the LSTM's two matrix products of all steps."""
    lstm, rows = model.decoder.lstm, neurons * BEAM
    inputs = torch.randn(rows, lstm.input_size, device=model.device)
    hidden = torch.randn(rows, lstm.hidden_size, device=model.device)
    w_in, w_hidden = lstm.weight_ih.detach().T, lstm.weight_hh.detach().T

    def work() -> None:
        for _ in range(LENGTH):
            torch.mm(inputs, w_in)
            torch.mm(hidden, w_hidden)

    return work


def decoding(device: torch.device, sizes: list[int]) -> None:
    """Print neurons per second of beam search."""
    model = paper_sized(device)
    decoding = Decoding(strategy="beam", pmi=0, beam=BEAM, length=LENGTH)
    rerank = Decoding(beam=BEAM, length=LENGTH)
    features = torch.randn(max(sizes), K, FEATURES, device=device)
    expected = plain_loop(model, features[:1])
    found = model.search(features[:1], decoding)
    best = expected[0][1] + [model.vocabulary.stop] * (LENGTH - len(expected[0][1]))
    assert found.tokens[0, 0].tolist() == best
    assert abs(float(found.scores[0, 0]) - expected[0][0]) < 1e-3
    plain = timed(lambda: plain_loop(model, features[:1]), device)
    print(f"plain loop over hypotheses: {1 / plain:.3f} neurons/s (same result)")
    print("batch  beam: neurons/s  × plain loop  × floor   rerank: neurons/s")
    for size in sizes:
        repeats = 3 if size <= 16 else 1
        part = features[:size]
        beam = timed(lambda part=part: model.search(part, decoding), device, repeats)
        both = timed(lambda part=part: model.search(part, rerank), device, repeats)
        least = timed(floor(model, size), device, repeats)
        print(
            f"{size:5d}  {size / beam:15.2f}  {plain * size / beam:12.1f}  {beam / least:7.2f}  "
            f"{size / both:18.2f}"
        )


def training(device: torch.device) -> None:
    """Print the time of an epoch of the decoder on cached features."""
    model = paper_sized(device)
    count, size = 1024, 64
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "features.bin"
        features = torch.from_file(
            str(place), shared=True, size=count * K * FEATURES, dtype=torch.float32
        ).view(count, K, FEATURES)
        features.normal_()
        words = torch.randint(0, WORDS, (count, 8))
        words[:, 0], words[:, -1] = model.vocabulary.start, model.vocabulary.stop

        def loss(rows: Tensor) -> Tensor:
            part = features[rows].to(device)
            return decoder_loss(model, part, words[rows].to(device), 1.0)

        stage = Stage(
            "decoder", model.decoder,
            lambda order: torch.randperm(count, generator=order).split(size),
            loss, lambda: {"value": 0.0}, TrainingConfig(epochs=1, batch_size=size),
        )  # fmt: skip
        start = time.perf_counter()
        stage.run()
        seconds = time.perf_counter() - start
    print(
        f"training: {count / seconds:.0f} descriptions/s (batch {size}, 6 words and the stop): "
        f"{seconds:.1f} s for {count}; an epoch of `base`, 60,816 descriptions less 10 %, takes "
        f"{0.9 * 60816 / count * seconds / 60:.1f} min"
    )


def encoding(device: torch.device) -> None:
    """Print the time of encoding the demo's exemplars, and of the bare forward passes."""
    neurons = load_split("demo", "test").select(range(24))
    distinct = len(DistinctExemplars(neurons))
    for name in ("efficientnet_lite0", "resnet101"):
        weights = "published" if name == "efficientnet_lite0" else "random"
        encoder = PyramidEncoder(ENCODERS[name].model_copy(update={"weights": weights}))
        encoder.to(device)
        batch = torch.randn(32, 3, 224, 224, device=device)

        @torch.inference_mode()
        def bare(encoder: PyramidEncoder = encoder, batch: Tensor = batch) -> None:
            for first in range(0, distinct, 32):
                encoder.network(batch[: min(32, distinct - first)])

        least = timed(bare, device)
        taken = timed(lambda e=encoder: exemplar_features(e, neurons, device), device)
        uses = len(neurons) * K
        print(
            f"{name}: {uses} exemplars of {distinct} distinct images in {taken:.1f} s, "
            f"{taken / least:.2f} × the bare forward passes of those, "
            f"{taken / least * distinct / uses:.2f} × those of all exemplars"
        )


def main() -> None:
    """Run all three."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch-sizes", default="1,2,4,8,16,32,64")
    arguments = parser.parse_args()
    device = resolve_device(arguments.device)
    print(f"device {device}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    encoding(device)
    training(device)
    decoding(device, [int(size) for size in arguments.batch_sizes.split(",")])


if __name__ == "__main__":
    main()
