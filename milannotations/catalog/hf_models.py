"""Any vision model that ``transformers`` supports, from a hub or a local folder."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from milannotations.catalog.weights import reason
from milannotations.errors import InputError
from milannotations.hub_access import from_hub
from milannotations.inputs.preprocessing import Preprocessing
from milannotations.tensors import check_network

_INTERPOLATION = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
_ERRORS = (
    OSError, ValueError, KeyError, TypeError, ImportError, RuntimeError, pickle.UnpicklingError,
)  # fmt: skip


def load(
    name: str, published: bool, state: Mapping[str, Tensor] | None = None
) -> tuple[nn.Module, Preprocessing]:
    """Load a model; for models of images and texts, the vision tower.

    Code that comes with a model is never run, and pickled weights are read as tensors only.

    Args:
        name: OWNER/NAME on a hub, or a local folder.
        published: Whether to load its weights instead of random ones.
        state: Weights to use instead, under the names that they have on the hub.

    Raises:
        InputError: If it cannot be loaded, lacks weights, or is of an unsupported kind.
    """
    import transformers

    source = str(Path(name)) if Path(name).is_dir() else name
    try:
        with from_hub(name, f"model hf:{name}"):
            config = transformers.AutoConfig.from_pretrained(source, trust_remote_code=False)
            processor = transformers.AutoImageProcessor.from_pretrained(
                source, trust_remote_code=False
            )
            kind: Any = transformers.AutoModel
            if hasattr(config, "vision_config"):
                kind = _tower(config)
                config = config.vision_config
            if hasattr(config, "mask_ratio"):
                config.mask_ratio = 0.0
            info: dict[str, Any] = {"missing_keys": ()}
            if published:
                network, info = kind.from_pretrained(
                    source, config=config, trust_remote_code=False, output_loading_info=True
                )
            else:
                network = (
                    kind.from_config(config) if kind is transformers.AutoModel else kind(config)
                )
            if state is not None:
                # Names in files may differ from those of the modules; transformers translates them.
                network, info = type(network).from_pretrained(
                    None, config=config, state_dict=dict(state), output_loading_info=True
                )
            lacking = sorted(key for key in info["missing_keys"] if "pooler" not in key)
    except InputError:
        raise
    except Exception as error:  # transformers and tokenizers may raise anything
        raise InputError(
            f"model hf:{name} cannot be loaded: {reason(error)}\n(a gated model needs "
            "`hf auth login` and its licence accepted; without a connection, name a local folder)"
        ) from error
    if lacking:
        # transformers itself initializes them at random.
        raise InputError(
            f"model hf:{name}: the weights lack {len(lacking)} parameters, such as "
            f"{', '.join(lacking[:3])}; pass --weights random if none are wanted"
        )
    module: nn.Module = network
    check_network(module, f"model hf:{name}")
    if config.model_type == "vit_mae":
        module.register_forward_pre_hook(_in_order, with_kwargs=True)
    try:
        return module, preprocessing(processor)
    except InputError:
        raise
    except (*_ERRORS, AttributeError) as error:
        raise _unknown(processor) from error


def _tower(config: Any) -> Any:
    """Return the class of a model's vision tower, such as ``CLIPVisionModel``."""
    import transformers

    name = type(config).__name__.removesuffix("Config") + "VisionModel"
    if not hasattr(transformers, name):
        raise InputError(
            f"models of the kind {config.model_type!r} have no vision tower that transformers "
            "loads by itself"
        )
    return getattr(transformers, name)


def _in_order(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Make a masked autoencoder's encoder process all patches, in order.

    By default it drops three in four and shuffles the rest, by sorting random numbers.
    """
    pixels: Tensor = args[0] if args else kwargs["pixel_values"]
    patches: Any = module.get_submodule("embeddings.patch_embeddings").num_patches
    order = torch.arange(int(patches), device=pixels.device, dtype=torch.float32)
    return args, {**kwargs, "noise": order.expand(len(pixels), -1)}


def preprocessing(processor: Any) -> Preprocessing:
    """Return the preprocessing that an image processor of ``transformers`` performs.

    Raises:
        InputError: If it does anything that is not supported here.
    """
    size = _lengths(processor, "size")
    resize: int | tuple[int, int] = size
    crop: int | tuple[int, int] = size
    share = getattr(processor, "crop_pct", None)
    if getattr(processor, "do_center_crop", False):
        crop = _lengths(processor, "crop_size")
    elif isinstance(size, int) and share and size < 384:
        # ConvNeXt's: the shorter side is resized to a larger length, and the centre is cropped.
        resize = int(size / share)
    elif isinstance(size, int) and share:
        resize = (size, size)
    elif isinstance(size, int):
        raise InputError(
            f"the image processor makes the shorter side {size} and crops nothing, so images "
            "differ in size; such models cannot be dissected in batches"
        )
    # Its mean and deviation apply to pixels in [0, 1] times this factor.
    scale = 255 * processor.rescale_factor if getattr(processor, "do_rescale", True) else 255.0
    mean, std = (0.0,) * 3, (1.0,) * 3
    if getattr(processor, "do_normalize", True):
        mean, std = tuple(processor.image_mean), tuple(processor.image_std)
    resample = getattr(processor, "resample", None)
    preprocessing_ = Preprocessing(
        size=crop,
        resize=resize,
        interpolation=_INTERPOLATION[2 if resample is None else int(resample)],
        mean=tuple(value / scale for value in mean),
        std=tuple(value / scale for value in std),
    )
    _check(preprocessing_, processor)
    return preprocessing_


def _lengths(processor: Any, name: str) -> int | tuple[int, int]:
    lengths = getattr(processor, name, None)
    if isinstance(lengths, int):
        return lengths if name == "size" else (lengths, lengths)
    # A dictionary, or in newer versions of transformers an object like one.
    get: Any = getattr(lengths, "get", lambda _: None)
    edge, height, width = get("shortest_edge"), get("height"), get("width")
    if edge:
        return int(edge)
    if not height or not width:
        raise InputError(
            f"the image processor, {type(processor).__name__}, has no fixed {name}; such models "
            "cannot be dissected in batches"
        )
    return int(height), int(width)


def _check(preprocessing: Preprocessing, processor: Any) -> None:
    """Compare with the processor's output for an image, as some do more than their options say."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, 256, (40, 30, 3), generator=generator, dtype=torch.uint8)
    side = 2 * max(preprocessing.shape)
    image = Image.fromarray(coarse.numpy()).resize((side * 3 // 4, side), Image.Resampling.BILINEAR)
    ours = preprocessing.tensor(preprocessing.view(image))
    theirs = processor(image, return_tensors="pt")["pixel_values"][0]
    if ours.shape == theirs.shape:
        off = (ours - theirs).abs() * torch.tensor(preprocessing.std)[:, None, None]
        # Resizing rounds differently by about 1 / 255.
        if float(off.mean()) < 0.01:
            return
    raise _unknown(processor)


def _unknown(processor: Any) -> InputError:
    return InputError(
        f"the image processor, {type(processor).__name__}, does something to images that is not "
        "known here; name a factory, package.module:factory, that returns a LoadedModel"
    )
