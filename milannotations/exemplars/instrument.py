"""Finding layers by name and reading their activation maps as they are computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor, nn

from milannotations.errors import InputError, did_you_mean
from milannotations.exemplars.probe import hook, probe
from milannotations.exemplars.taps import Spec, Tap, listed, raw, read

__all__ = ["Spec", "Tap", "activations", "match_layers", "probe"]

OnMaps = Callable[[str, Tensor], None]


class _AllSeen(BaseException):
    """Ends a forward pass; not an Exception, so that no model takes it for an error of its own."""


def match_layers(model: nn.Module, patterns: Sequence[str]) -> list[str]:
    """Return the names of all layers that match any pattern, in the model's own order.

    Args:
        model: Any module.
        patterns: Module paths as PyTorch names them (``layer4``, ``features.10``), with the
            wildcards ``*``, ``?`` and ``[...]``, and with the marks of ``Spec``
            (``blocks.*.attn.proj@in``).

    Raises:
        InputError: If a pattern matches nothing; near names are suggested.

    >>> from torch import nn
    >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3))
    >>> match_layers(model, ["2", "0", "0@in"])
    ['0', '0@in', '2']
    """
    first: dict[int, str] = {}
    names = []
    for name, module in model.named_modules(remove_duplicate=False):
        if name:
            names.append(name)
            first.setdefault(id(module), name)
    if not patterns:
        raise InputError(f"no layer is named; this model has {listed(names)}")
    wanted: dict[str, list[str]] = {}
    for pattern in patterns:
        spec = Spec.parse(pattern)
        # Of a module with several names a wildcard means the first.
        matches = {n for n in names if n == spec.module} or {
            n for n in first.values() if fnmatchcase(n, spec.module)
        }
        if not matches:
            hint = did_you_mean(spec.module, names) or f"; this model has {listed(names)}"
            raise InputError(f"no layer matches {pattern!r}{hint}")
        for name in matches:
            marks = wanted.setdefault(name, [])
            if spec.marks not in marks:
                marks.append(spec.marks)
    return [name + marks for name in dict.fromkeys(names) for marks in wanted.get(name, ())]


@contextmanager
def activations(
    model: nn.Module,
    taps: Sequence[Tap],
    on_maps: OnMaps,
    *,
    attached: Mapping[str, nn.Module] | None = None,
    stop_early: bool = False,
) -> Iterator[Callable[..., Any]]:
    """Call ``on_maps(layer, maps)`` whenever one of the layers has computed its output.

    The call happens at once, inside the forward pass: the output has not yet been changed by an
    in-place operation that follows (as ReLU does in most torchvision models), and one layer's
    maps can be freed before the next layer's are made.

    Args:
        model: Any module.
        taps: The layers, from ``probe``.
        on_maps: Given maps of shape (images, units, height, width).
        attached: Autoencoders, by the name of the layer they stand on. Their latents of a whole
            batch are held at once: images × latents × height × width × 4 bytes.
        stop_early: Leave a forward pass when all layers have been seen in it.

    Gives:
        What to call the model by; it returns the model's output, or None if it stopped early.
    """
    extra = attached or {}
    layouts = {tap.layer: tap.layout for tap in taps}
    left: set[str] = set()

    def call(layer: str, spec: Spec, args: Any, kwargs: Any, output: Any) -> None:
        tensor = raw(spec, args, kwargs, output)
        on_maps(layer, read(spec, layouts[layer], tensor, extra))
        left.discard(layer)
        if stop_early and not left:
            raise _AllSeen

    def run(*inputs: Tensor) -> Any:
        left.update(layouts)
        try:
            return model(*inputs)
        except _AllSeen:
            return None

    handles = [hook(model, tap.layer, Spec.parse(tap.layer), call) for tap in taps]
    try:
        yield run
    finally:
        for handle in handles:
            handle.remove()
