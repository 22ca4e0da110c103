"""The encoder of a sparse autoencoder, whose latents are units."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from milannotations.errors import InputError

Activation = Literal["relu", "topk", "groupmax", "jumprelu", "gated"]
Normalization = Literal["none", "layer_norm", "constant_norm_rescale"]


class SparseAutoencoder(nn.Module):
    """The encoder of a sparse autoencoder, as a module.

    With ``z = (x - shift) weight``, latents are

    - ``relu``: max(0, z + bias);
    - ``topk``: the k largest of these, the others 0 (Gao et al., 2024, arXiv 2406.04093);
    - ``groupmax``: the largest of each of k groups of neighbours;
    - ``jumprelu``: those whose z + bias is above the threshold (Rajamanoharan et al., 2024, arXiv
      2407.14435), which is also how a batch top-k is used after training (Bussmann et al., 2024,
      arXiv 2412.06410);
    - ``gated``: max(0, exp(scale) z + bias) where z + gate is above 0 (Rajamanoharan et al., 2024,
      arXiv 2404.16014).

    Args:
        weight: Shape (units of the layer, latents).
        bias: Shape (latents,).
        activation: One of the above.
        shift: Shape (units of the layer,); default zeros.
        k: For ``topk`` and ``groupmax``.
        threshold: For ``jumprelu``: shape (latents,) or ().
        gate: For ``gated``: the gate's bias and the logarithm of the scale, each (latents,).
        normalization: Normalization of each input: ``layer_norm`` to mean 0 and standard deviation
            1, ``constant_norm_rescale`` to the norm √units.

    Raises:
        InputError: If these do not fit together.

    >>> encoder = SparseAutoencoder(torch.eye(2), torch.tensor([0.0, -1.0]))
    >>> encoder(torch.tensor([3.0, 0.5])).tolist()
    [3.0, 0.0]
    """

    weight: Tensor
    bias: Tensor
    shift: Tensor
    threshold: Tensor
    gate: Tensor
    log_scale: Tensor

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor,
        activation: Activation = "relu",
        *,
        shift: Tensor | None = None,
        k: int | None = None,
        threshold: Tensor | None = None,
        gate: tuple[Tensor, Tensor] | None = None,
        normalization: Normalization = "none",
    ) -> None:
        super().__init__()
        self.origin = ""  # absolute path of the file or folder it was read from
        if weight.ndim != 2:
            raise InputError(f"encoder weights of shape {tuple(weight.shape)}; they have two axes")
        if activation not in get_args(Activation):
            raise InputError(
                f"activation {activation!r}; known are {', '.join(get_args(Activation))}"
            )
        if normalization not in get_args(Normalization):
            raise InputError(
                f"normalization {normalization!r}; known are {', '.join(get_args(Normalization))}"
            )
        units, latents = weight.shape
        if activation in ("topk", "groupmax") and not (k is not None and 0 < k <= latents):
            raise InputError(f"k is {k}; of {latents} latents it must be 1 to {latents}")
        if activation == "groupmax" and k and latents % k:
            raise InputError(f"{latents} latents are not {k} groups of the same size")
        if activation == "jumprelu" and threshold is None:
            raise InputError("jumprelu needs a threshold")
        if activation == "gated" and gate is None:
            raise InputError("a gated autoencoder needs b_gate and r_mag")
        self.activation: Activation = activation
        self.normalization: Normalization = normalization
        self.k = k
        gate_bias, log_scale = gate or (torch.zeros(latents), torch.zeros(latents))
        threshold = torch.zeros(()) if threshold is None else threshold
        parts = {
            "bias": (bias, latents),
            "shift": (torch.zeros(units) if shift is None else shift, units),
            "threshold": (
                threshold.expand(latents) if threshold.numel() == 1 else threshold,
                latents,
            ),
            "gate": (gate_bias, latents),
            "log_scale": (log_scale, latents),
        }
        self.register_buffer("weight", weight.contiguous())
        for name, (tensor, length) in parts.items():
            if tensor.shape != (length,):
                raise InputError(
                    f"{name} of shape {tuple(tensor.shape)} does not fit weights of "
                    f"{units} units × {latents} latents"
                )
            self.register_buffer(name, tensor.contiguous())
        # Settings that change the latents are part of the state, so that its hash covers them.
        settings = f"{activation} {k} {normalization}".encode()
        self.register_buffer("settings", torch.frombuffer(bytearray(settings), dtype=torch.uint8))

    @property
    def units(self) -> int:
        """Number of units of the layer."""
        return self.weight.shape[0]

    @property
    def latents(self) -> int:
        """Number of latents."""
        return self.weight.shape[1]

    def forward(self, x: Tensor) -> Tensor:
        """Return nonnegative latents of shape (…, latents) for a layer's output (…, units).

        Raises:
            ValueError: If the layer has another number of units.
        """
        if x.shape[-1] != self.units:
            raise ValueError(f"it takes {self.units} units, not {x.shape[-1]}")
        projected = (self._normalized(x.to(self.weight.dtype)) - self.shift) @ self.weight
        if self.activation == "gated":
            gates = projected + self.gate > 0
            return (projected * self.log_scale.exp() + self.bias).relu() * gates
        before = projected.add_(self.bias)
        if self.activation == "jumprelu":
            return before.relu() * (before > self.threshold)
        latents = before.relu_()
        if self.activation == "relu":
            return latents
        if self.activation == "topk":
            largest, at = latents.topk(self.k or 1, dim=-1, sorted=False)
        else:
            groups = latents.unflatten(-1, (self.k or 1, -1))
            largest, within = groups.max(-1)
            at = within + torch.arange(groups.shape[-2], device=x.device) * groups.shape[-1]
        return torch.zeros_like(latents).scatter_(-1, at, largest)

    def _normalized(self, x: Tensor) -> Tensor:
        if self.normalization == "layer_norm":
            x = x - x.mean(-1, keepdim=True)
            return x / (x.std(-1, keepdim=True) + 1e-5)
        if self.normalization == "constant_norm_rescale":
            return x * (self.units**0.5 / torch.linalg.vector_norm(x, dim=-1, keepdim=True))
        return x
