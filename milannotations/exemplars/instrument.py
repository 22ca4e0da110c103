"""Finding layers by name and reading their activation maps as they are computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from milannotations.errors import InputError, did_you_mean

OnActivations = Callable[[str, Tensor], None]


def match_layers(model: nn.Module, patterns: Sequence[str]) -> list[str]:
    """Return the names of all modules that match any pattern, in the model's own order.

    Args:
        model: Any module.
        patterns: Module paths as PyTorch names them (``layer4``, ``features.10``), with the
            wildcards ``*``, ``?`` and ``[...]``.

    Raises:
        InputError: If a pattern matches nothing; near names are suggested.

    >>> from torch import nn
    >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3))
    >>> match_layers(model, ["2", "0"])
    ['0', '2']
    """
    names = [name for name, _ in model.named_modules() if name]
    if not patterns:
        raise InputError(f"no layer is named; this model has {_some(names)}")
    wanted: set[str] = set()
    for pattern in patterns:
        matches = {n for n in names if n == pattern} or {
            n for n in names if fnmatchcase(n, pattern)
        }
        if not matches:
            hint = did_you_mean(pattern, names) or f"; this model has {_some(names)}"
            raise InputError(f"no layer matches {pattern!r}{hint}")
        wanted |= matches
    return [name for name in names if name in wanted]


@contextmanager
def activations(
    model: nn.Module, layers: Sequence[str], on_activations: OnActivations
) -> Iterator[None]:
    """Call ``on_activations(layer, output)`` whenever one of the layers has computed its output.

    The call happens at once, inside the forward pass: the output has not yet been changed by an
    in-place operation that follows (as ReLU does in most torchvision models), and one layer's
    maps can be freed before the next layer's are made.
    """

    def hook_for(layer: str) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            on_activations(layer, output)

        return hook

    handles = [model.get_submodule(name).register_forward_hook(hook_for(name)) for name in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def probe(
    model: nn.Module, layers: Sequence[str], inputs: Tensor
) -> dict[str, tuple[int, int, int]]:
    """Run one batch and return each layer's (units, height, width).

    Args:
        model: The model, in evaluation mode, on the device of ``inputs``.
        layers: Names from ``match_layers``.
        inputs: A batch of any size.

    Raises:
        InputError: If a layer is not run, is run more than once, gives anything but an
            N × units × height × width tensor, or gives NaN or infinity.
    """
    shapes: dict[str, tuple[int, int, int]] = {}
    calls = dict.fromkeys(layers, 0)
    problems: dict[str, str] = {}

    def look(layer: str, output: object) -> None:
        calls[layer] += 1
        problem = _why_not_spatial(output, len(inputs))
        if problem:
            problems[layer] = problem
        elif isinstance(output, Tensor):
            units, height, width = output.shape[1:]
            shapes[layer] = (units, height, width)

    with torch.inference_mode(), activations(model, layers, look):
        model(inputs)
    for layer, count in calls.items():
        if count == 0:
            problems[layer] = "is not run by the model's forward pass"
        elif count > 1:
            problems[layer] = (
                f"is run {count} times in one forward pass, so its units have no one activation "
                "map; name the module around it instead"
            )
    if problems:
        lines = "\n".join(f"  {layer!r} {problem}" for layer, problem in problems.items())
        raise InputError(f"no exemplars can be built for these layers:\n{lines}")
    return {layer: shapes[layer] for layer in layers}


def _why_not_spatial(output: object, batch: int) -> str | None:
    if not isinstance(output, Tensor):
        return f"gives a {type(output).__name__}, not a tensor"
    shape = " × ".join(str(n) for n in output.shape)
    if output.ndim != 4 or output.shape[0] != batch:
        return f"is not spatial: it gives {shape}, and units need N × units × height × width"
    if not output.is_floating_point():
        return f"gives {output.dtype}, not floating-point activations"
    if not bool(output.isfinite().all()):
        return "gives NaN or infinity already for the first image"
    return None


def _some(names: Sequence[str], limit: int = 20) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
