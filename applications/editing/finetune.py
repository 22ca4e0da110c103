"""Training the last layer of an edited network."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from applications.labelled import AblationEvaluator, ClassImages
from milannotations.ablation import Ablation, ablated
from milannotations.ablation.runner import logits_of
from milannotations.errors import InputError
from milannotations.progress import progress_bar


@dataclass(frozen=True)
class Finetuned:
    """A network whose last layer was finetuned.

    Attributes:
        model: A copy of the network with the new last layer.
        layer: Name of the layer.
        epochs: The number of epochs that did best on validation images, maybe 0.
        scores: Validation accuracy before training and after each epoch.
    """

    model: nn.Module
    layer: str
    epochs: int
    scores: tuple[float, ...]


def last_layer(model: nn.Module, inputs: Tensor) -> str:
    """Return the name of the linear layer that gives the network's output.

    Raises:
        InputError: If its output is not that of a linear layer.
    """
    outputs: dict[str, Tensor] = {}
    handles = [
        module.register_forward_hook(lambda _m, _a, out, name=name: outputs.update({name: out}))
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
    ]
    try:
        with torch.no_grad():
            scores = logits_of(model(inputs))
    finally:
        for handle in handles:
            handle.remove()
    for name, output in reversed(outputs.items()):
        if output.shape == scores.shape and torch.equal(output, scores):
            return name
    raise InputError(
        "the network's output is not that of a linear layer, so there is no last layer to train"
    )


def finetune(
    evaluator: AblationEvaluator,
    ablation: Ablation,
    train: ClassImages,
    validation: Mapping[str, ClassImages],
    *,
    epochs: int = 10,
    learning_rate: float = 1e-3,
    seed: int = 0,
) -> Finetuned:
    """Train the last layer while some units are ablated, from the weights that it has.

    The inputs of the layer are computed once. The epoch is chosen on validation images, by accuracy
    and, among equals, by the loss.

    Args:
        evaluator: The network, which is not changed, and what ablated units are set to.
        ablation: The units that are ablated meanwhile.
        train: Training images.
        validation: The sets whose mean accuracy chooses the epoch.
        epochs: Most epochs.
        learning_rate: Learning rate of Adam.
        seed: Seed of the order of images.

    Raises:
        InputError: If the last layer is not linear, or its own units are ablated.
    """
    edited = copy.deepcopy(evaluator.model).eval()
    name = last_layer(edited, train.example().to(evaluator.device))
    if any(
        len(units) and evaluator.points[layer].spec.module == name
        for layer, units in ablation.items()
    ):
        raise InputError(f"units of the last layer {name!r} are ablated: it cannot be trained too")
    head = edited.get_submodule(name)
    assert isinstance(head, nn.Linear)
    inputs, labels = _features(edited, head, evaluator, ablation, train)
    held_out = [
        _features(edited, head, evaluator, ablation, images) for images in validation.values()
    ]

    def score() -> tuple[float, float]:
        with torch.no_grad():
            outputs = [(head(x), y) for x, y in held_out]
            rates = [float((out.argmax(1) == y).float().mean()) for out, y in outputs]
            losses = [float(functional.cross_entropy(out, y)) for out, y in outputs]
        return round(sum(rates) / len(rates), 9), -sum(losses) / len(losses)

    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(head.parameters(), lr=learning_rate)
    scores, best = [score()], copy.deepcopy(head.state_dict())
    with progress_bar() as progress, torch.enable_grad():
        for _ in progress.track(range(epochs), description="Training the last layer"):
            order = torch.randperm(len(labels), generator=generator)
            for rows in order.split(64):
                loss = functional.cross_entropy(head(inputs[rows]), labels[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            scores.append(score())
            if scores[-1] > max(scores[:-1]):
                best = copy.deepcopy(head.state_dict())
    head.load_state_dict(best)
    return Finetuned(edited, name, scores.index(max(scores)), tuple(rate for rate, _ in scores))


def _features(
    model: nn.Module,
    head: nn.Linear,
    evaluator: AblationEvaluator,
    ablation: Ablation,
    images: ClassImages,
) -> tuple[Tensor, Tensor]:
    """Return the inputs of the last layer, and the labels, on the evaluator's device."""
    inputs: list[Tensor] = []
    labels: list[Tensor] = []
    handle = head.register_forward_pre_hook(lambda _m, args: inputs.append(args[0].detach()))
    try:
        with torch.no_grad(), ablated(model, evaluator.points, ablation, evaluator.means):
            for batch, batch_labels in images.batches(evaluator.batch_size):
                model(batch.to(evaluator.device))
                labels.append(batch_labels)
    finally:
        handle.remove()
    return torch.cat(inputs), torch.cat(labels).to(evaluator.device)
