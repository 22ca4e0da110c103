"""An edited network on disk, which can be loaded with torch alone, without this package."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from milannotations.ablation.ablated import Ablation, Means, ablated, point_of
from milannotations.ablation.runner import logits_of
from milannotations.hook_points.hook_point import HookPoint
from milannotations.storage import atomic_folder

WEIGHTS, MASKS, LOADER, PROGRAM = "weights.pt", "masks.json", "load_edited.py", "model.pt2"
_LOADER = Path(__file__).parent / "load_edited.py.txt"

# The rows of their first parameter are the channels of their output.
_ROWS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.BatchNorm1d, nn.BatchNorm2d,
         nn.BatchNorm3d, nn.GroupNorm)  # fmt: skip


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        folder: The folder.
        folded: Whether the weights alone make up the edited network; otherwise masks go with them.
        program: Whether the network could be exported as a program that needs no other code.
        problem: Why it could not be exported, if so.
    """

    folder: Path
    folded: bool
    program: bool
    problem: str = ""


def folded(
    model: nn.Module,
    points: Mapping[str, HookPoint],
    ablation: Ablation,
    means: Means | None = None,
) -> dict[str, Tensor] | None:
    """Return weights with the effect of an ablation, or None if no weights have it.

    A channel of a convolution, a linear layer or a normalization is constant if its weights are 0
    and its bias is that constant. Outputs of other modules, such as a block that ends in a sum,
    have no weights of their own.

    Args:
        model: The network; it is not changed.
        points: Its layers.
        ablation: Which units.
        means: What they are set to; see ``ablated``.

    Returns:
        A state dictionary with the network's own names.
    """
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    users: dict[int, int] = {}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            users[id(parameter)] = users.get(id(parameter), 0) + 1
    for layer, units in ablation.items():
        if not len(units):
            continue
        point = point_of(points, layer)
        module = model.get_submodule(point.spec.module)
        weight, bias = getattr(module, "weight", None), getattr(module, "bias", None)
        # Subclasses may do more than apply their weights.
        if point.spec.marks or type(module) not in _ROWS or weight is None:
            return None
        if f"{point.spec.module}.weight" not in state:
            return None  # computed from other parameters at each call
        value = (means or {}).get(layer)
        if bias is None and value is not None:
            return None
        if any(users[id(p)] > 1 for p in (weight, bias) if p is not None):
            return None  # another module would be changed as well
        chosen = point.mask(units)
        state[f"{point.spec.module}.weight"][chosen] = 0
        if bias is not None:
            state[f"{point.spec.module}.bias"][chosen] = (
                0 if value is None else value[chosen].to(bias)
            )
    return state


def write_edited(
    model: nn.Module,
    points: Mapping[str, HookPoint],
    ablation: Ablation,
    out: Path,
    inputs: tuple[Tensor, ...],
    *,
    means: Means | None = None,
    facts: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Written:
    """Write an edited network, and load it again to verify that it is the same.

    ``weights.pt`` is a state dictionary with the network's own names. If weights alone can express
    the edit, ``masks.json`` lists no channels; otherwise it lists the channels that are fixed, and
    ``load_edited.py``, which needs nothing but torch, fixes them in the network. ``model.pt2`` is
    the same network as an exported program (``torch.export.load``), if it can be exported.

    Args:
        model: The network without the ablation; its weights may have been fine-tuned.
        points: Its layers.
        ablation: Which units.
        out: The folder.
        inputs: A batch to verify it with.
        means: What units are set to; see ``ablated``.
        facts: Additional entries of ``masks.json``.
        overwrite: Replace the folder.

    Raises:
        InputError: If the folder exists.
        RuntimeError: If the loaded network gives other outputs than the edited one.
    """
    model = model.eval()
    state = folded(model, points, ablation, means)
    masks = {
        layer: _entry(point_of(points, layer), units, (means or {}).get(layer))
        for layer, units in ablation.items()
        if len(units)
    }
    content = {
        "units": {layer: sorted(map(int, units)) for layer, units in ablation.items()},
        "folded": state is not None,
        "layers": [] if state is not None else list(masks.values()),
        **(facts or {}),
    }
    with torch.no_grad(), ablated(model, points, ablation, means):
        expected = logits_of(model(*inputs))
    with atomic_folder(out, overwrite) as folder:
        weights = model.state_dict() if state is None else state
        torch.save({name: tensor.cpu() for name, tensor in weights.items()}, folder / WEIGHTS)
        (folder / MASKS).write_text(json.dumps(content, indent=1), encoding="utf-8")
        loader = _LOADER.read_text(encoding="utf-8")
        (folder / LOADER).write_text(loader, encoding="utf-8")
        _check(model, folder, inputs, expected)
        problem = ""
        # On the CPU, so that it can be loaded on machines without a GPU.
        plain = copy.deepcopy(model).cpu()
        with ablated(plain, points, ablation, means):
            try:
                _export(plain, tuple(x.cpu() for x in inputs), folder / PROGRAM, expected.cpu())
            except Exception as error:  # the exporter may raise anything
                (folder / PROGRAM).unlink(missing_ok=True)
                problem = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
    return Written(out, state is not None, not problem, problem)


def _entry(point: HookPoint, units: Any, mean: Tensor | None) -> dict[str, Any]:
    channels = point.mask(units).nonzero().flatten().tolist()
    values = [0.0] * len(channels) if mean is None else mean[channels].tolist()
    return {
        "module": point.spec.module,
        "input": point.spec.is_input,
        "item": point.spec.item,
        "axis": point.axis,
        "channels": channels,
        "values": values,
    }


def _check(model: nn.Module, folder: Path, inputs: tuple[Tensor, ...], expected: Tensor) -> None:
    """Load the folder with its own loader, as a user does, and compare."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    namespace: dict[str, Any] = {"__name__": "load_edited"}
    exec(compile((folder / LOADER).read_text(encoding="utf-8"), LOADER, "exec"), namespace)
    handles = namespace["load"](model, folder)
    try:
        with torch.no_grad():
            scores = logits_of(model(*inputs))
    finally:
        for handle in handles:
            handle.remove()
        model.load_state_dict(before)
    _compare(scores, expected, LOADER)


def _export(model: nn.Module, inputs: tuple[Tensor, ...], path: Path, expected: Tensor) -> None:
    batch = torch.export.Dim("batch", min=1)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        # The example goes into the file, which may be passed on, so it must not be a user's image.
        program = torch.export.export(
            model,
            tuple(torch.zeros_like(x) for x in inputs),
            dynamic_shapes=tuple({0: batch} for _ in inputs),
        )
        torch.export.save(program, path)
        scores = logits_of(torch.export.load(path).module()(*inputs))
    _compare(scores, expected, PROGRAM)


def _compare(scores: Tensor, expected: Tensor, what: str) -> None:
    bound = 1e-4 * float(expected.abs().max().clamp(min=1))
    worst = float((scores - expected).abs().max())
    if not worst <= bound:
        raise RuntimeError(f"{what} gives other scores than the edit: they differ by {worst:g}")
