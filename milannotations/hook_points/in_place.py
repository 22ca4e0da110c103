"""Outputs that later modules change in place, and how to read them before or after the change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor, nn

from milannotations.hook_points.layer_spec import LayerSpec


class ChangedBy(NamedTuple):
    """What changes a layer's output in place.

    Attributes:
        module: Path of the module after whose call the output keeps its value; empty for the
            whole network.
        call: Which of that module's calls since the layer ran, from 0: some modules, such as the
            ReLU of a residual block, are run several times.
    """

    module: str
    call: int


class ChangeWatch:
    """Finds, in one forward pass, which outputs are changed in place after they were computed.

    A plain forward hook that keeps a layer's output sees it as it is at the end of the pass. That
    is how the code of the MILAN paper reads AlexNet's and VGG's convolutions: after the ReLU.

    Attributes:
        changed_by: For each layer whose output was changed, what changed it last.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._held: dict[LayerSpec, Tensor] = {}
        self._versions: dict[LayerSpec, int] = {}
        self._calls: dict[LayerSpec, Counter[str]] = {}
        self.changed_by: dict[LayerSpec, ChangedBy] = {}

    def hold(self, spec: LayerSpec, tensor: Tensor) -> None:
        """Watch from now on whether a layer's output changes."""
        self._held[spec] = tensor
        self._versions[spec] = tensor._version  # counts in-place operations on it and its views
        self._calls[spec] = Counter()

    def value(self, spec: LayerSpec) -> Tensor:
        """Return a layer's output as it is now."""
        return self._held[spec]

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch what is run during the ``with`` block."""
        with ExitStack() as stack:
            for name, module in self._model.named_modules():
                handle = module.register_forward_hook(partial(self._look, name))
                stack.callback(handle.remove)
            yield

    def _look(self, name: str, *_: Any) -> None:
        for spec, tensor in self._held.items():
            if tensor._version != self._versions[spec]:
                self._versions[spec] = tensor._version
                self.changed_by[spec] = ChangedBy(name, self._calls[spec][name])
            self._calls[spec][name] += 1


class Deferred:
    """Holds outputs back until the module that changes them in place has been run.

    Args:
        changed_by: What changes the output, by layer.
    """

    def __init__(self, changed_by: Mapping[str, ChangedBy]) -> None:
        self._changed_by = changed_by
        self._waiting: dict[str, Tensor] = {}
        self._calls: Counter[str] = Counter()

    def clear(self) -> None:
        """Forget outputs that a pass which was left early has not delivered."""
        self._waiting.clear()

    def overdue(self) -> str | None:
        """Return a layer whose output was never delivered; None if there is none."""
        return next(iter(self._waiting), None)

    def hold(self, layer: str, tensor: Tensor) -> None:
        """Keep a layer's output until it has been changed."""
        self._waiting[layer] = tensor
        self._calls[layer] = 0

    def due(self, layer: str) -> Tensor | None:
        """Count a call of the module that changes a layer's output.

        Returns:
            The output, once it is final; None while it may still change.
        """
        if layer not in self._waiting:
            return None
        number = self._calls[layer]
        self._calls[layer] += 1
        return self._waiting.pop(layer) if number == self._changed_by[layer].call else None
