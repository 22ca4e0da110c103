"""The spelling of layers: ``blocks.3.attn.proj@in@heads=6``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from milannotations.errors import InputError

SPELLING = (
    "write MODULE, then @in for its input or @1 for item 1 of its output, then @heads=6 for one "
    "unit per attention head or @sae for the latents of a sparse autoencoder"
)
_SPELLED = re.compile(
    r"([^@]+)(@in)?(?:@([0-9]{1,9}))?(?:@heads=(0*[1-9][0-9]{0,8}))?(@sae)?", re.ASCII
)


@dataclass(frozen=True)
class LayerSpec:
    """A layer as users name it, split into its parts.

    Attributes:
        module: Path of the module, as PyTorch names it, or a pattern of such paths.
        is_input: Whether the module's input is meant, not its output.
        item: Which item of an output that is a tuple, a list or a dictionary; with ``is_input``
            which argument. Items count from 0.
        heads: Number of attention heads: the units are the norms of their slices of channels.
        sae: Whether the units are the latents of a sparse autoencoder.

    >>> LayerSpec.parse("blocks.3.attn.proj@in@heads=6")
    LayerSpec(module='blocks.3.attn.proj', is_input=True, item=None, heads=6, sae=False)
    """

    module: str
    is_input: bool = False
    item: int | None = None
    heads: int | None = None
    sae: bool = False

    @classmethod
    def parse(cls, text: str) -> LayerSpec:
        """Read a layer's name.

        Raises:
            InputError: If it is not spelled like that.
        """
        match = _SPELLED.fullmatch(text.strip())
        if not match:
            raise InputError(f"layer {text!r} is not well spelled; {SPELLING}")
        module, is_input, item, heads, sae = match.groups()
        if heads and sae:
            raise InputError(
                f"layer {text!r}: an autoencoder takes a layer's channels, not the norms of heads; "
                "leave out one of the two"
            )
        return cls(
            module,
            is_input=bool(is_input),
            item=int(item) if item else None,
            heads=int(heads) if heads else None,
            sae=bool(sae),
        )

    @property
    def marks(self) -> str:
        """What follows the module's path."""
        return (
            ("@in" if self.is_input else "")
            + ("" if self.item is None else f"@{self.item}")
            + ("" if self.heads is None else f"@heads={self.heads}")
            + ("@sae" if self.sae else "")
        )

    def __str__(self) -> str:
        return self.module + self.marks
