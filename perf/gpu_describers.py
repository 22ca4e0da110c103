"""Comparisons of describers and metrics on a device with the CPU, for ``perf/gpu.py``."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import transformers
from gpu_table import CPU, DeviceComparison, Sizes, apart, timed
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor

from baselines.concepts.activations import RecordedMaps
from baselines.concepts.counting import Masking
from baselines.concepts.labelled_scenes import LabelledScenes
from baselines.concepts.packing import packed
from baselines.concepts.probing import tallies
from baselines.features.cache import exemplar_features
from baselines.features.encoder import ENCODERS, PyramidEncoder
from baselines.milan.config import MilanConfig
from baselines.milan.decoding import Decoding
from baselines.milan.language_model import LanguageModelSpec
from baselines.milan.model import Milan
from baselines.milan.stage import Stage
from baselines.milan.training import decoder_loss
from baselines.milan.training_config import TrainingConfig
from baselines.milan.vocabulary import Vocabulary
from benchmark.metrics.base import References
from benchmark.metrics.bertscore import BertScore
from benchmark.references import Fold
from milannotations.ablation import AblationRunner
from milannotations.catalog.models import load_model
from milannotations.hook_points.matching import find_hook_points
from milannotations.loading import load_split

SHARED = 0.95  # share of candidates that must be the CPU's, as random weights make near ties


def encoder(device: torch.device, sizes: Sizes, work: Path) -> Iterator[DeviceComparison]:
    """Compare the features of exemplars, which MILAN reads."""
    del work
    neurons = load_split("demo", "test").select(range(sizes.neurons))
    spec = ENCODERS[sizes.encoder].model_copy(update={"weights": "random"})
    networks = {own: PyramidEncoder(spec) for own in {device, CPU}}
    (actual, seconds), (expected, longer) = (
        timed(lambda own=own: exemplar_features(networks[own], neurons, own), own)
        for own in (device, CPU)
    )
    count = expected.shape[0] * expected.shape[1]
    yield DeviceComparison(
        f"features of exemplars, {sizes.encoder}", apart(actual, expected), 1e-3, "exemplars",
        count / seconds, count / longer,
    )  # fmt: skip


def milan(device: torch.device, sizes: Sizes, work: Path) -> Iterator[DeviceComparison]:
    """Compare MILAN's log probabilities, gradients, losses of an epoch, and candidates."""
    del work
    torch.manual_seed(0)
    config = MilanConfig(
        encoder=ENCODERS["resnet101"], features=sizes.features, k=15,
        language_model=LanguageModelSpec(),
    )  # fmt: skip
    vocabulary = Vocabulary([f"word{number}" for number in range(sizes.words)])
    on_cpu = Milan(config, vocabulary).eval()
    on_device = copy.deepcopy(on_cpu).to(device)
    features = torch.randn(sizes.pairs, 15, sizes.features)
    words = torch.randint(0, sizes.words, (sizes.pairs, 8))
    words[:, 0], words[:, -1] = vocabulary.start, vocabulary.stop
    (actual, gradient), (expected, cpu_gradient) = (
        _step(own, features[:64], words[:64]) for own in (on_device, on_cpu)
    )
    yield DeviceComparison("MILAN: log probabilities of words", apart(actual, expected), 1e-4)
    yield DeviceComparison(
        "MILAN: gradient of a training step", apart(gradient, cpu_gradient), 1e-3
    )
    yield from _training(on_device, on_cpu, features, words)
    for decoding in (Decoding(strategy="rerank", pmi=0.2), Decoding(strategy="beam", pmi=0.2)):
        yield _candidates(on_device, on_cpu, features[: sizes.neurons], decoding)


def _step(model: Milan, features: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
    """Return the log probabilities, and the gradient of all parameters, without dropout."""
    features, words = features.to(model.device), words.to(model.device)
    with torch.no_grad():
        logs = model.decoder(features, words)[0]
    parameters = [*model.decoder.parameters()]
    loss = decoder_loss(model, features, words, 1.0)
    gradients = torch.autograd.grad(loss, parameters)
    return logs, torch.cat([gradient.flatten() for gradient in gradients])


def _training(
    on_device: Milan, on_cpu: Milan, features: Tensor, words: Tensor
) -> Iterator[DeviceComparison]:  # fmt: skip
    """Compare the loss of an epoch; dropout differs between devices."""
    expected, cpu_rate = _epoch(on_cpu, features, words, TrainingConfig(epochs=1))
    for precision in ("float32", "bfloat16", "float16"):
        if precision == "float16" and on_device.device.type != "cuda":
            continue
        options = TrainingConfig.model_validate({"epochs": 1, "precision": precision})
        _epoch(on_device, features, words, options)
        loss, rate = _epoch(on_device, features, words, options)
        yield DeviceComparison(
            f"MILAN: loss of an epoch of training, {precision}", abs(loss / expected - 1), 0.05,
            "descriptions", rate, cpu_rate,
        )  # fmt: skip


def _epoch(
    start: Milan, features: Tensor, words: Tensor, options: TrainingConfig
) -> tuple[float, float]:
    """Return the mean loss of an epoch, and descriptions per second."""
    model = copy.deepcopy(start)

    def loss(rows: Tensor) -> Tensor:
        given, texts = (tensor[rows].to(model.device) for tensor in (features, words))
        return decoder_loss(model, given, texts, 1.0)

    stage = Stage(
        "decoder", model.decoder,
        lambda order: torch.randperm(len(words), generator=order).split(options.batch_size),
        loss, lambda: {"value": 0.0}, options,
    )  # fmt: skip
    begin = time.perf_counter()
    history = stage.run()
    return history[0]["train_loss"], len(words) / (time.perf_counter() - begin)


def _candidates(
    on_device: Milan, on_cpu: Milan, features: Tensor, decoding: Decoding
) -> DeviceComparison:
    """Compare candidates: nearly all and the best ones must be the CPU's, with equal scores."""
    (actual, seconds), (expected, longer) = (
        timed(lambda own=own: own.search(features, decoding), own.device)
        for own in (on_device, on_cpu)
    )
    differences: list[float] = []
    best = 0
    for row, tokens in enumerate(actual.tokens.tolist()):
        of_cpu = [tuple(numbers) for numbers in expected.tokens[row].tolist()]
        scores = dict(zip(of_cpu, expected.scores[row].tolist(), strict=True))
        differences += [
            abs(score - scores[tuple(numbers)])
            for numbers, score in zip(tokens, actual.scores[row].tolist(), strict=True)
            if tuple(numbers) in scores
        ]
        best += tuple(tokens[0]) == of_cpu[0]
    shared = len(differences) / actual.scores.numel()
    agree = shared >= SHARED and best == len(features)
    return DeviceComparison(
        f"MILAN: scores of a beam of {decoding.beam}, {decoding.strategy}, PMI {decoding.pmi:g}",
        max(differences) if agree else math.nan, 1e-3, "neurons", len(features) / seconds,
        len(features) / longer,
        note=f"{shared:.1%} of candidates and {best} of {len(features)} best are the CPU's",
    )  # fmt: skip


def bertscore(device: torch.device, sizes: Sizes, work: Path) -> Iterator[DeviceComparison]:
    """Compare BERTScore with an encoder of the architecture of roberta-large."""
    vocabulary = [f"word{number}" for number in range(1000)]
    write_encoder(work / "encoder", vocabulary, large=device.type == "cuda")
    rng = np.random.default_rng(0)
    sentences = [
        " ".join(rng.choice(vocabulary, int(rng.integers(3, 15)))) for _ in range(sizes.sentences)
    ]
    half = sizes.sentences // 2
    texts, folds = sentences[:half], [Fold([""] * half, [[text] for text in sentences[half:]])]
    references = References(folds, ["layer"] * half)
    scores, rates = [], []
    for own in (device, CPU):
        metric = BertScore(str(work / "encoder"), own)
        metric.statistics(references.subset(range(4)), {"method": [texts[:4]]})  # warm-up
        start = time.perf_counter()
        sums = metric.statistics(references, {"method": [texts]})["method"]
        rates.append(sizes.sentences / (time.perf_counter() - start))
        scores.append(metric.per_neuron(sums))
    difference = float(np.abs(scores[0] - scores[1]).max())
    yield DeviceComparison(
        "BERTScore, the architecture of roberta-large", difference, 1e-4, "sentences", *rates,
        note=f"F1 from {scores[1].min():.3f} to {scores[1].max():.3f}",
    )  # fmt: skip


def counting(device: torch.device, sizes: Sizes, work: Path) -> Iterator[DeviceComparison]:
    """Compare the counts of pixels that masks and labels share, which must be equal."""
    folder = work / "recorded"
    folder.mkdir()
    torch.manual_seed(0)
    concepts = packed(LabelledScenes(0, sizes.scenes), folder=work / "labels")
    np.save(folder / "units.npy", torch.randn(sizes.scenes, sizes.mapped, 14, 14).relu().numpy())
    (folder / "activations.json").write_text(
        '{"input_size": [224, 224], "layers": {"units": "units.npy"}}', encoding="utf-8"
    )
    for name, masking in (("quantiles", Masking()), ("one threshold", Masking(threshold=2.0))):
        results, rates = [], []
        for number, own in enumerate((device, CPU)):
            start = time.perf_counter()
            target = work / f"tallies-{name}-{number}"
            results.append(
                tallies(RecordedMaps(folder, own), concepts, masking, target, own)["units"]
            )
            rates.append(sizes.scenes * sizes.mapped / (time.perf_counter() - start))
        actual, expected = results
        unequal = (actual.counts != expected.counts).nnz + sum(
            int((getattr(actual, field) != getattr(expected, field)).sum())
            for field in ("thresholds", "in_images", "in_masks")
        )
        yield DeviceComparison(
            f"pixels shared by masks and labels, {name}: unequal counts", unequal, 0, "maps",
            *rates, note=f"{int(expected.counts.sum()):,} pixels",
        )  # fmt: skip


@torch.no_grad()
def ablation(device: torch.device, sizes: Sizes, work: Path) -> Iterator[DeviceComparison]:
    """Compare scores and accuracies under the ablation of each unit of the last layers."""
    del work
    torch.manual_seed(0)
    network = load_model("torchvision:resnet18", "random").module.eval()
    inputs = torch.randn(64, 3, sizes.side, sizes.side)
    labels = network(inputs).argmax(1)
    for layer in ("layer4", "layer4.1.conv1"):
        (actual, seconds), (expected, longer) = (
            timed(_sweep(network, layer, inputs, own, sizes.ablated), own)
            for own in (device, CPU)
        )  # fmt: skip
        count = sizes.ablated * len(inputs)
        yield DeviceComparison(
            f"scores under each ablation of {layer}", apart(actual, expected), 1e-3, "images",
            count / seconds, count / longer,
        )  # fmt: skip
        accuracy, cpu_accuracy = (
            (scores.argmax(2) == labels).double().mean(1) for scores in (actual, expected)
        )
        yield DeviceComparison(
            f"accuracy under each ablation of {layer}",
            float((accuracy - cpu_accuracy).abs().max()), round(1 / len(inputs), 4),
        )  # fmt: skip


def _sweep(
    network: torch.nn.Module, layer: str, inputs: Tensor, device: torch.device, units: int
) -> Callable[[], Tensor]:
    """Return a function that computes the scores under each ablation and moves them to the CPU."""
    module, given = copy.deepcopy(network).to(device), inputs.to(device)
    runner = AblationRunner(module, find_hook_points(module, [layer], (given[:2],)), (given[:2],))
    ablations = [{layer: [unit]} for unit in range(units)]

    def run() -> Tensor:
        scores = torch.empty(units, len(inputs), 1000)
        for position, values in runner.outputs((given,), ablations):
            scores[position] = values.cpu()
        return scores

    return run


def write_encoder(folder: Path, words: list[str], large: bool) -> None:
    """Write a RoBERTa with random weights, and a tokenizer that knows ``words``."""
    texts = ["<s>", "<pad>", "</s>", "<unk>", *words, "a", "dog", "on", "the", "grass"]
    numbers = {text: number for number, text in enumerate(texts)}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", pad_token="<pad>", eos_token="</s>",
        unk_token="<unk>", model_max_length=512,
    ).save_pretrained(folder)  # fmt: skip
    width, layers = (1024, 24) if large else (64, 3)
    config = transformers.RobertaConfig(
        vocab_size=50265, hidden_size=width, num_hidden_layers=layers,
        num_attention_heads=width // 64, intermediate_size=4 * width,
        max_position_embeddings=514, type_vocab_size=1,
    )  # fmt: skip
    torch.manual_seed(0)
    transformers.RobertaModel(config).save_pretrained(folder)
