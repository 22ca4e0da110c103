"""The one way in which hooks are attached to a network: to read a tensor, or to replace it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from milannotations.hook_points.layer_spec import LayerSpec
from milannotations.hook_points.layout import UnusableError, shape_of


class HookedCall:
    """One call of a hooked module, seen before it runs (``@in``) or after.

    Args:
        spec: Which tensor of the call is meant.
        args: The positional arguments.
        kwargs: The keyword arguments; used only if there are no positional ones.
        output: What the module returned; None if it has not run yet.
    """

    def __init__(
        self, spec: LayerSpec, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any = None
    ) -> None:
        self._spec = spec
        self._args = args
        self._kwargs = kwargs
        self._value = (args or kwargs) if spec.is_input else output

    def tensor(self) -> Tensor:
        """Return the tensor that is meant.

        Raises:
            UnusableError: If there is no such tensor, or it is not clear which one is meant.
        """
        if isinstance(self._value, Tensor) and self._spec.item is None:
            return self._value
        names, values = _items(self._value)
        tensor: Tensor = values[self._position(names, values)]
        return tensor

    def with_tensor(self, tensor: Tensor) -> Any:
        """Return what a hook returns so that another tensor takes the place of this one."""
        if isinstance(self._value, Tensor):
            changed: Any = tensor
        else:
            names, values = _items(self._value)
            values[self._position(names, values)] = tensor
            changed = _like(self._value, values)
        if not self._spec.is_input:
            return changed
        return (changed, self._kwargs) if self._args else (self._args, changed)

    def _position(self, names: Sequence[str], values: Sequence[Any]) -> int:
        verb = "is given" if self._spec.is_input else "gives"
        item = self._spec.item
        if item is not None:
            if item < len(values) and isinstance(values[item], Tensor):
                return item
            problem = f"there is no item {item}"
            if item < len(values):
                problem = f"item {item} is no tensor"
            raise UnusableError(
                "without such an item", f"{verb} {_described(names, values)}: {problem}"
            )
        positions = [
            position
            for position, value in enumerate(values)
            if isinstance(value, Tensor) and value.is_floating_point()
        ]
        if not positions:
            raise UnusableError(
                "no tensors", f"{verb} {_described(names, values)}, not a tensor of activations"
            )
        if len(positions) > 1 and not self._spec.is_input:
            raise UnusableError(
                "several tensors",
                f"{verb} {_described(names, values)}: name one of them, as "
                f"{self._spec.module}@{positions[0]}",
            )
        return positions[0]


def attach(
    model: nn.Module, spec: LayerSpec, on_call: Callable[[HookedCall], Any]
) -> RemovableHandle:
    """Call ``on_call`` whenever a layer's module is called; return the hook's handle.

    Inputs are seen before the module can change them in place, outputs before anything that
    follows can. If ``on_call`` returns something, it replaces the input or output; see
    ``HookedCall.with_tensor``.
    """
    module = model.get_submodule(spec.module)

    def before(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return on_call(HookedCall(spec, args, kwargs))

    def after(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Any:
        return on_call(HookedCall(spec, args, kwargs, out))

    if spec.is_input:
        return module.register_forward_pre_hook(before, with_kwargs=True)
    return module.register_forward_hook(after, with_kwargs=True)


def replace_tensor(
    model: nn.Module, spec: LayerSpec, change: Callable[[Tensor], Tensor]
) -> RemovableHandle:
    """Have a layer's tensor replaced by ``change`` of it; return the hook's handle."""
    return attach(model, spec, lambda call: call.with_tensor(change(call.tensor())))


def _items(value: Any) -> tuple[list[str], list[Any]]:
    """Return the names (empty where there are none) and the items of an input or output."""
    if isinstance(value, Mapping):  # also the outputs of transformers
        return [str(name) for name in value], list(value.values())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return names, [getattr(value, name) for name in names]
    if isinstance(value, tuple | list):
        return list(getattr(value, "_fields", [""] * len(value))), list(value)
    return [""], [value]


def _like(value: Any, items: Sequence[Any]) -> Any:
    """Return a copy of an input or output with other items, in the order of ``_items``."""
    if isinstance(value, dict):
        changed = copy(value)  # a cached output must stay as it was
        for name, item in zip([*value], items, strict=True):
            changed[name] = item
        return changed
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return dataclasses.replace(value, **dict(zip(names, items, strict=True)))
    return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)


def _described(names: Sequence[str], values: Sequence[Any]) -> str:
    """Describe an input or output: the type of a single value, else all items with their shapes."""
    texts = [
        shape_of(value) if isinstance(value, Tensor) else type(value).__name__ for value in values
    ]
    if len(values) == 1 and not names[0]:
        value = values[0]
        return f"{texts[0]} of {value.dtype}" if isinstance(value, Tensor) else f"a {texts[0]}"
    pairs = enumerate(zip(names, texts, strict=False))
    items = (f"{position}: {' '.join(filter(None, pair))}" for position, pair in pairs)
    return f"{len(values)} items ({', '.join(items)})"
