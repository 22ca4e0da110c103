"""Training the last layer again, on what is left of an edited network."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from applications.labelled import ClassImages
from milannotations.ablation import Ablation, ablated
from milannotations.ablation.ablated import Means
from milannotations.ablation.runner import logits_of
from milannotations.errors import InputError
from milannotations.hook_points.hook_point import HookPoint
from milannotations.progress import progress_bar


@dataclass(frozen=True)
class Finetuned:
    """A network whose last layer was trained again.

    Attributes:
        model: A copy of the network with the new last layer.
        layer: The layer's name.
        epochs: How many epochs it was trained: those that did best on validation images, maybe 0.
        scores: Validation score after each epoch, from 0.
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
    model: nn.Module,
    sites: Mapping[str, HookPoint],
    ablation: Ablation,
    train: ClassImages,
    validation: Mapping[str, ClassImages],
    *,
    fill: Means | None = None,
    epochs: int = 10,
    learning_rate: float = 1e-3,
    seed: int = 0,
    device: torch.device | str = "cpu",
    batch_size: int = 32,
) -> Finetuned:
    """Train the last layer with some units ablated, from the weights that it has.

    What goes into it is computed once. The epoch is chosen on validation images: by accuracy and,
    where that is tied, by the loss.

    Args:
        model: The network; it is not changed.
        sites: Its layers.
        ablation: What is ablated meanwhile.
        train: Training images.
        validation: The sets whose mean accuracy chooses the epoch.
        fill: What ablated units are set to.
        epochs: At most.
        learning_rate: Of Adam.
        seed: Of the order of images.
        device: Where the network is.
        batch_size: Images per forward pass.

    Raises:
        InputError: If the last layer is not linear, or is itself among what is ablated.
    """
    edited = copy.deepcopy(model).eval()
    name = last_layer(edited, train.example().to(device))
    if any(len(units) and sites[layer].spec.module == name for layer, units in ablation.items()):
        raise InputError(f"units of the last layer {name!r} are ablated: it cannot be trained too")
    head = edited.get_submodule(name)
    assert isinstance(head, nn.Linear)
    sets = {"": train, **validation}
    features = {
        k: _features(edited, head, sites, ablation, fill, v, device, batch_size)
        for k, v in sets.items()
    }
    held = {k: v for k, v in features.items() if k}

    def score() -> tuple[float, float]:
        with torch.no_grad():
            outputs = [(head(x), y) for x, y in held.values()]
            rates = [float((out.argmax(1) == y).float().mean()) for out, y in outputs]
            losses = [float(functional.cross_entropy(out, y)) for out, y in outputs]
        return round(sum(rates) / len(rates), 9), -sum(losses) / len(losses)

    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(head.parameters(), lr=learning_rate)
    inputs, labels = features[""]
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
    sites: Mapping[str, HookPoint],
    ablation: Ablation,
    fill: Means | None,
    images: ClassImages,
    device: torch.device | str,
    batch_size: int,
) -> tuple[Tensor, Tensor]:
    kept: list[Tensor] = []
    handle = head.register_forward_pre_hook(lambda _m, args: kept.append(args[0].detach()))
    try:
        with torch.no_grad(), ablated(model, sites, ablation, fill):
            labels = [y for x, y in images.batches(batch_size) if model(x.to(device)) is not None]
    finally:
        handle.remove()
    return torch.cat(kept), torch.cat(labels).to(device)
