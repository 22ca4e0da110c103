"""Sequences of tokens are laid out where they lie on the image, or refused."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from milannotations.catalog.models import load_model
from milannotations.errors import InputError
from milannotations.exemplars.run import _parse_layout
from milannotations.hook_points.layout import Layout
from milannotations.hook_points.probe import probe
from milannotations.hook_points.reading import activations
from milannotations.hook_points.token_order import TokenOrder, usual_orders


@pytest.mark.parametrize("text", ["rows", "columns", "windows=2x3", "strides=2x2.1x3"])
def test_an_order_is_what_its_definition_says(text: str) -> None:
    height, width = 8, 12
    order = TokenOrder.parse(text)
    assert str(order) == text
    rows, columns = [], []
    for index in range(height * width):  # where the token of that index lies, by hand
        if text == "rows":
            row, column = divmod(index, width)
        elif text == "columns":
            column, row = divmod(index, height)
        elif text == "windows=2x3":
            window, inside = divmod(index, 6)
            row = 2 * (window // 4) + inside // 3
            column = 3 * (window % 4) + inside % 3
        else:
            rest, coarse = divmod(index, 4 * 2)  # blocks of 4 × 2 by 2 × 6 are 4 × 2 times
            rest, offset = divmod(rest, 3)  # the offset in blocks of 1 × 3 of blocks of 2 × 2
            row = coarse // 2 * 2 + rest // 2
            column = (coarse % 2 * 3 + offset) * 2 + rest % 2
        rows.append(row)
        columns.append(column)
    places = torch.tensor([rows, columns]).T[None]
    grid = order.on_grid(places, height, width)
    expected = torch.stack(
        torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"), -1
    )
    assert torch.equal(grid[0], expected)


@pytest.mark.parametrize("text", ["tiles", "rows=2x2", "windows", "windows=2x2.2x2", "strides=0x2"])
def test_orders_that_make_no_sense(text: str) -> None:
    with pytest.raises(InputError, match="token order"):
        TokenOrder.parse(text)


def test_layouts_are_written_with_an_order_on_the_command_line() -> None:
    pattern, layout = _parse_layout("blocks.*.attn@heads=6=tokens:8x8:1:strides=2x2.2x2")
    assert pattern == "blocks.*.attn@heads=6"
    assert layout == Layout("tokens", (8, 8), 1, "strides=2x2.2x2")
    assert _parse_layout("a=tokens_last")[1] == Layout("tokens_last")
    with pytest.raises(InputError, match="has no order"):
        Layout("spatial", order="columns")


class _Patches(nn.Module):
    """Patches of 8 × 8 pixels in some order, then what ``mix`` does with N × tokens × 24."""

    def __init__(self, order: Tensor, mix: nn.Module, extra: str = "") -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 24, 8, 8)
        self.register_buffer("order", order)
        self.sequence = nn.Identity()
        self.mix = mix
        self.extra = extra

    def forward(self, image: Tensor) -> Tensor:
        tokens = self.embed(image).flatten(2).transpose(1, 2)[:, self.order]
        added = tokens.new_ones(len(tokens), 1, 24)
        middle = tokens.shape[1] // 2
        if self.extra == "first":
            tokens = torch.cat([added, tokens], 1)
        elif self.extra == "last":
            tokens = torch.cat([tokens, added], 1)
        elif self.extra == "middle":
            tokens = torch.cat([tokens[:, :middle], added, tokens[:, middle:]], 1)
        return self.mix(self.sequence(tokens))


def _indices(order: TokenOrder, side: int = 8) -> Tensor:
    """Return for each token its place row by row: the inverse of ``on_grid``."""
    numbers = torch.arange(side * side)
    return order.on_grid(numbers[None], side, side).flatten().argsort()


def _network(order: Tensor, mix: nn.Module | None = None, extra: str = "") -> nn.Module:
    torch.manual_seed(0)
    return _Patches(order, mix or nn.Linear(24, 24), extra).eval()


IMAGE = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("order", usual_orders(8, 8), ids=str)
def test_tokens_in_a_usual_order_are_laid_out_in_it(order: TokenOrder) -> None:
    network = _network(_indices(order))
    point = probe(network, ["sequence"], (IMAGE,))["sequence"]
    assert point.layout == Layout("tokens", (8, 8), 0, str(order))
    maps: list[Tensor] = []
    with torch.no_grad(), activations(network, [point], lambda _, m: maps.append(m)) as run:
        run(IMAGE)
        assert torch.equal(maps[0], network.embed(IMAGE))


def test_tokens_in_no_known_order_are_refused() -> None:
    shuffled = torch.randperm(64, generator=torch.Generator().manual_seed(1))
    with pytest.raises(InputError, match="neither row by row nor in another usual order"):
        probe(_network(shuffled), ["sequence"], (IMAGE,))


class _MixesAll(nn.Module):
    """Gives every token the mean of all, which says nothing of where they are."""

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens.mean(1, keepdim=True).expand_as(tokens)


def test_a_layer_that_shows_no_places_has_those_of_the_layer_before_it() -> None:
    order = TokenOrder("strides", ((2, 2),))
    network = _network(_indices(order), _MixesAll())
    assert probe(network, ["mix"], (IMAGE,))["mix"].layout.order == "strides=2x2"
    shuffled = torch.randperm(64, generator=torch.Generator().manual_seed(1))
    with pytest.raises(InputError, match="neither row by row"):
        probe(_network(shuffled, _MixesAll()), ["mix"], (IMAGE,))


@pytest.mark.parametrize("extra", ["first", "last", "middle"])
def test_a_class_token_that_does_not_come_first_is_refused(extra: str) -> None:
    network = _network(torch.arange(64), extra=extra)
    if extra == "first":
        layout = probe(network, ["sequence", "mix"], (IMAGE,))["mix"].layout
        assert layout == Layout("tokens", (8, 8), 1)
        return
    with pytest.raises(InputError, match=rf"come (in the )?{extra}, not first"):
        probe(network, ["mix"], (IMAGE,))


class _Transposed(nn.Module):
    """Runs modules that take N × units × tokens."""

    def __init__(self, *modules: nn.Module) -> None:
        super().__init__()
        self.inner = nn.Sequential(*modules)
        self.outer = nn.Identity()

    def forward(self, tokens: Tensor) -> Tensor:
        return self.outer(self.inner(tokens.transpose(1, 2))).transpose(1, 2)


@pytest.mark.parametrize("units", [24, 64])
def test_sequences_with_units_first_are_read_so(units: int) -> None:
    # With 64 units the shape, 64 × 64, does not tell which axis the tokens are.
    mix = _Transposed(nn.Conv1d(24, units, 3, padding=1), nn.GroupNorm(4, units), nn.GELU())
    network = _network(torch.arange(64), mix)
    names = ["mix.inner.0", "mix.inner.1", "mix.inner.2", "mix.outer", "mix"]
    points = probe(network, names, (IMAGE,))
    for name in names[:4]:
        assert points[name].layout == Layout("tokens_last", (8, 8)), name
        assert (points[name].units, points[name].height) == (units, 8)
    assert points["mix"].layout == Layout("tokens", (8, 8))


def test_generators_and_given_layouts_are_not_probed() -> None:
    shuffled = torch.randperm(64, generator=torch.Generator().manual_seed(1))
    given = {"sequence": Layout("tokens", (8, 8))}
    assert probe(_network(shuffled), ["sequence"], (IMAGE,), given)["sequence"].units == 24


@pytest.mark.slow
def test_hiera_is_laid_out_as_its_own_reroll_does() -> None:
    network = load_model("timm:hiera_tiny_224", "random").module.eval()
    layers = [
        "patch_embed",
        "blocks.0",
        "blocks.1",
        "blocks.4.attn.qkv",
        "blocks.7.attn",
        "blocks.11",
    ]
    image = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(3))
    points = probe(network, layers, (image,))
    orders = [point.layout.order for point in points.values()]
    once = "strides=2x2"
    assert orders == ["rows", f"{once}.2x2.2x2", f"{once}.2x2", once, once, "rows"]
    maps: dict[str, Tensor] = {}
    outputs: dict[str, Tensor] = {}
    for name in ("blocks.0", "blocks.1"):
        network.get_submodule(name).register_forward_hook(
            lambda _m, _a, output, name=name: outputs.update({name: output})
        )
    chosen = [points["blocks.0"], points["blocks.1"]]
    with torch.no_grad(), activations(network, chosen, lambda n, m: maps.update({n: m})) as run:
        run(image)
        for block, name in enumerate(("blocks.0", "blocks.1")):
            own = network.reroll(outputs[name], block).permute(0, 3, 1, 2)
            assert torch.equal(maps[name], own)
