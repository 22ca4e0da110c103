"""Measure the cost of making descriptions independent of the number of threads.

Run ``python perf/threads.py``. Everything is compared within one run on the CPU: the methods take
turns, and the fastest turn of each counts. Nothing is downloaded.

- Features of exemplars: batches of 32 in all threads, against single images in one thread each,
  several in parallel.
- Beam search at the paper's sizes: batches of 16 neurons in all threads, against single neurons in
  one thread each, several in parallel.
- Training of the decoder at the paper's sizes and at the demo's: one thread, against more.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping

import torch
from milan import FEATURES, K, paper_sized

from baselines.features.cache import exemplar_features
from baselines.features.encoder import ENCODERS, PyramidEncoder
from baselines.features.exemplars import DistinctExemplars
from baselines.milan.config import MilanConfig
from baselines.milan.decoder import DecoderSpec
from baselines.milan.decoding import Decoding
from baselines.milan.model import Milan
from baselines.milan.training import decoder_loss
from baselines.milan.vocabulary import Vocabulary
from milannotations.loading import load_split
from milannotations.record import NeuronKey
from milannotations.threads import fixed_threads


def compared(title: str, ways: Mapping[str, Callable[[], object]], turns: int, count: int) -> None:
    """Print the rate of each way, in units per second, in its fastest turn."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(turns):
        for name, work in ways.items():
            start = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - start)
    first = min(next(iter(seconds.values())))
    print(title)
    for name, found in seconds.items():
        best = min(found)
        print(f"  {name}: {count / best:.2f} a second, × {first / best:.2f}", flush=True)


def features(encoder_name: str, neurons: int, turns: int) -> None:
    """Compare ways of encoding exemplars."""
    encoder = PyramidEncoder(
        ENCODERS[encoder_name].model_copy(
            update={} if encoder_name == "efficientnet_lite0" else {"weights": "random"}
        )
    )
    records = load_split("demo", "network")
    step = max(1, len(records) // neurons)
    sample = records.select(range(0, len(records), step))
    images = len(DistinctExemplars(sample))

    def in_batches() -> None:
        exemplars = DistinctExemplars(sample)
        for numbers, batch in exemplars.batches(32):
            maps = encoder.maps(torch.stack([encoder.tensor(image) for image in batch]))
            for row, number in enumerate(numbers):
                encoder.pool(maps, row, exemplars.masks(number))

    compared(
        f"features of {encoder_name}: images",
        {
            "batches of 32, all threads": in_batches,
            "one by one, side by side": lambda: exemplar_features(encoder, sample),
        },
        turns, images,
    )  # fmt: skip


def searching(neurons: int, turns: int) -> None:
    """Compare ways of searching."""
    model = paper_sized(torch.device("cpu"))
    seen = torch.randn(neurons, K, FEATURES)
    keys = [NeuronKey("m", "d", "l", number) for number in range(neurons)]
    for name, decoding in (
        ("beam of 50", Decoding(strategy="beam", pmi=0)),
        ("greedy", Decoding(strategy="greedy", pmi=0)),
    ):

        def in_batches(decoding: Decoding = decoding) -> None:
            for first in range(0, neurons, 16):
                model.search(seen[first : first + 16], decoding)

        def alone(decoding: Decoding = decoding) -> None:
            model.describe_features(keys, seen, decoding)

        compared(
            f"search, {name}: neurons",
            {"batches of 16, all threads": in_batches, "one by one, side by side": alone},
            turns, neurons,
        )  # fmt: skip


def training(hidden: int, words: int, width: int, steps: int, turns: int) -> None:
    """Compare numbers of threads in training steps on 64 descriptions of 12 tokens."""
    torch.manual_seed(0)
    config = MilanConfig(
        encoder=ENCODERS["resnet101"], features=width, k=K, decoder=DecoderSpec(hidden=hidden)
    )
    model = Milan(config, Vocabulary([f"word{number}" for number in range(words)])).train()
    optimizer = torch.optim.AdamW(model.decoder.parameters())
    seen, tokens = torch.randn(64, K, width), torch.randint(4, words, (64, 12))

    def run(threads: int) -> None:
        with fixed_threads(threads):
            for _ in range(steps):
                decoder_loss(model, seen, tokens, 1.0).backward()
                optimizer.step()
                optimizer.zero_grad()

    most = torch.get_num_threads()
    counts = sorted({1, 2, 4, most} if most >= 4 else {1, most})
    compared(
        f"training, hidden {hidden}, {words} words, {width} features: descriptions",
        {f"{n} threads": lambda n=n: run(n) for n in counts}, turns, 64 * steps,
    )  # fmt: skip


def main() -> None:
    """Measure everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--neurons", type=int, default=24)
    given = parser.parse_args()
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    features("efficientnet_lite0", given.neurons, given.turns)
    features("resnet18", given.neurons, given.turns)
    searching(given.neurons, given.turns)
    training(512, 5000, FEATURES, 2, given.turns)
    training(128, 600, 496, 10, given.turns)


if __name__ == "__main__":
    main()
