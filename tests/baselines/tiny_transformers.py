"""Randomly initialised models of real architectures, in folders that ``transformers`` loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPTextConfig,
    CLIPVisionConfig,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
    SiglipTextConfig,
    SiglipVisionConfig,
)

WORDS = """
red blue green yellow pink purple orange brown circles squares triangles stars rings crosses discs
objects shapes things striped dotted small large that are and or a an image of the with animals dog
cat what do these
"""
SIDE, PATCH = 32, 8


def word_tokenizer() -> Any:
    """Return a tokenizer of whole words, with the special tokens of all models here."""
    specials = ["<pad>", "<s>", "</s>", "<unk>", "<image>"]
    vocabulary = {word: number for number, word in enumerate([*specials, *WORDS.split()])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>",
        unk_token="<unk>", additional_special_tokens=["<image>"], model_max_length=16,
    )  # fmt: skip


def tiny_clip(folder: Path, seed: int = 0) -> Path:
    """Save a small CLIP with a vision transformer of two layers and 4 × 4 patches."""
    tokenizer = word_tokenizer()
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
             "num_attention_heads": 4}  # fmt: skip
    config = CLIPConfig(
        text_config=CLIPTextConfig(
            vocab_size=len(tokenizer), max_position_embeddings=16, bos_token_id=1, eos_token_id=2,
            pad_token_id=0, **sizes,
        ).to_dict(),
        vision_config=CLIPVisionConfig(image_size=SIDE, patch_size=PATCH, **sizes).to_dict(),
        projection_dim=12,
    )  # fmt: skip
    torch.manual_seed(seed)
    CLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    CLIPImageProcessor(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    ).save_pretrained(folder)
    return folder


def tiny_siglip(folder: Path, seed: int = 0) -> Path:
    """Save a small SigLIP."""
    tokenizer = word_tokenizer()
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
             "num_attention_heads": 4}  # fmt: skip
    config = SiglipConfig(
        text_config=SiglipTextConfig(
            vocab_size=len(tokenizer), max_position_embeddings=16, bos_token_id=1, eos_token_id=2,
            pad_token_id=0, **sizes,
        ).to_dict(),
        vision_config=SiglipVisionConfig(image_size=SIDE, patch_size=PATCH, **sizes).to_dict(),
    )  # fmt: skip
    torch.manual_seed(seed)
    SiglipModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    SiglipImageProcessor(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    return folder
