"""Finding layers by name and reading their activation maps as they are computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn

from milannotations.errors import InputError
from milannotations.hook_points.hook_point import HookPoint, Spec, hook, raw, read
from milannotations.hook_points.in_place import ChangedBy, Deferred
from milannotations.hook_points.layout import shape_of

OnMaps = Callable[[str, Tensor], None]


class _AllSeen(BaseException):
    """Ends a forward pass; not an Exception, so that no model takes it for an error of its own."""


@contextmanager
def activations(
    model: nn.Module,
    taps: Sequence[HookPoint],
    on_maps: OnMaps,
    *,
    attached: Mapping[str, nn.Module] | None = None,
    stop_early: bool = False,
) -> Iterator[Callable[..., Any]]:
    """Call ``on_maps(layer, maps)`` whenever one of the layers has computed its output.

    The call happens inside the forward pass, so that one layer's maps can be freed before the
    next layer's are made. It happens at once, when the output has not yet been changed by an
    in-place operation that follows (as ReLU does in most torchvision models); if the tap says
    ``changed_by``, it happens after that change.

    Args:
        model: Any module.
        taps: The layers, from ``probe``.
        on_maps: Given maps of shape (images, units that are read, height, width), as the model
            computes them, mostly views of its own tensors: copy what is to be kept.
        attached: Autoencoders, by the name of the layer they stand on. Their latents of a whole
            batch are held at once: images × latents × height × width × 4 bytes.
        stop_early: Leave a forward pass when all layers have been seen in it.

    Gives:
        What to call the model by; it returns the model's output, or None if it stopped early.

    Raises:
        InputError: In a forward pass, if a layer's maps are not what the tap says.
    """
    extra = attached or {}
    waiting: set[str] = set()
    running = False
    later = {tap.layer: ChangedBy(*tap.changed_by) for tap in taps if tap.changed_by}
    deferred = Deferred(later)

    def on_call(tap: HookPoint, spec: Spec, args: Any, kwargs: Any, output: Any) -> None:
        try:
            maps = read(spec, tap.layout, raw(spec, args, kwargs, output), extra)
        except ValueError as error:
            raise InputError(f"layer {tap.layer!r} {error}") from error
        if tuple(maps.shape[1:]) != (tap.units, tap.height, tap.width):
            raise InputError(
                f"layer {tap.layer!r} gives maps of {shape_of(maps[0])}, and of {tap.units} × "
                f"{tap.height} × {tap.width} in the probe; all inputs must be of one size"
            )
        on_maps(tap.layer, tap.picked(maps))
        waiting.discard(tap.layer)
        if stop_early and running and not waiting:
            raise _AllSeen

    def on_change(tap: HookPoint, spec: Spec, *_: Any) -> None:
        call = deferred.due(tap.layer)
        if call is not None:
            on_call(tap, spec, *call)

    def run(*inputs: Tensor) -> Any:
        nonlocal running
        deferred.clear()
        waiting.update(tap.layer for tap in taps)
        running = True
        try:
            output = model(*inputs)
        except _AllSeen:
            return None
        finally:
            running = False
        layer = deferred.overdue()
        if layer is not None:
            raise InputError(
                f"layer {layer!r} was changed in place by module {later[layer].module!r} in the "
                "probe, and not in this pass: its network does not do the same for all images; "
                "pass --in-place before"
            )
        return output

    with ExitStack() as stack:
        for tap in taps:
            spec = Spec.parse(tap.layer)
            if tap.layer not in later:
                stack.callback(hook(model, spec, partial(on_call, tap, spec)).remove)
                continue
            stack.callback(hook(model, spec, partial(deferred.hold, tap.layer)).remove)
            changer = model.get_submodule(later[tap.layer].module)
            handle = changer.register_forward_hook(partial(on_change, tap, spec))
            stack.callback(handle.remove)
        yield run
