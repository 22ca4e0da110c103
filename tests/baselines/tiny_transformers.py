"""Randomly initialised models of real architectures, in folders that ``transformers`` loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BlipConfig,
    BlipForConditionalGeneration,
    BlipImageProcessor,
    BlipProcessor,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPTextConfig,
    CLIPVisionConfig,
    GitConfig,
    GitForCausalLM,
    GitProcessor,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
    SiglipTextConfig,
    SiglipVisionConfig,
    VisionEncoderDecoderConfig,
    VisionEncoderDecoderModel,
    ViTConfig,
    ViTImageProcessor,
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


def tiny_blip(folder: Path, seed: int = 0) -> Path:
    """Save a small BLIP captioner."""
    tokenizer = word_tokenizer()
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
             "num_attention_heads": 4}  # fmt: skip
    config = BlipConfig(
        text_config={
            "vocab_size": len(tokenizer), "max_position_embeddings": 64, "bos_token_id": 1,
            "eos_token_id": 2, "sep_token_id": 2, "pad_token_id": 0, "projection_dim": 16,
            "encoder_hidden_size": 16, **sizes,
        },
        vision_config={"image_size": SIDE, "patch_size": PATCH, **sizes},
    )  # fmt: skip
    torch.manual_seed(seed)
    BlipForConditionalGeneration(config).save_pretrained(folder)
    processor = BlipImageProcessor(size={"height": SIDE, "width": SIDE})
    BlipProcessor(processor, tokenizer).save_pretrained(folder)
    return folder


def tiny_git(folder: Path, seed: int = 0) -> Path:
    """Save a small GIT captioner, which puts the image's tokens before the text's."""
    tokenizer = word_tokenizer()
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
             "num_attention_heads": 4}  # fmt: skip
    config = GitConfig(
        vision_config={"image_size": SIDE, "patch_size": PATCH, **sizes},
        vocab_size=len(tokenizer), max_position_embeddings=64, bos_token_id=1, eos_token_id=2,
        pad_token_id=0, **sizes,
    )  # fmt: skip
    torch.manual_seed(seed)
    GitForCausalLM(config).save_pretrained(folder)
    processor = CLIPImageProcessor(
        size={"height": SIDE, "width": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
    GitProcessor(processor, tokenizer).save_pretrained(folder)
    return folder


def tiny_pair(folder: Path, seed: int = 0) -> Path:
    """Save a small vision transformer with a GPT-2 as its decoder."""
    tokenizer = word_tokenizer()
    vision = ViTConfig(
        image_size=SIDE, patch_size=PATCH, hidden_size=16, intermediate_size=32,
        num_hidden_layers=2, num_attention_heads=4,
    )  # fmt: skip
    text = GPT2Config(
        vocab_size=len(tokenizer), n_positions=64, n_embd=16, n_layer=2, n_head=4,
        bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(
        vision, text, decoder_start_token_id=1, pad_token_id=0, eos_token_id=2
    )
    torch.manual_seed(seed)
    model = VisionEncoderDecoderModel(config=config)
    model.generation_config.decoder_start_token_id = 1
    model.generation_config.eos_token_id = 2
    model.generation_config.pad_token_id = 0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    ViTImageProcessor(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    return folder


def tiny_llava(folder: Path, seed: int = 0) -> Path:
    """Save a small LLaVA, which chats."""
    tokenizer = word_tokenizer()
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
             "num_attention_heads": 4}  # fmt: skip
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(image_size=SIDE, patch_size=PATCH, **sizes),
        text_config=LlamaConfig(
            vocab_size=len(tokenizer), max_position_embeddings=256, bos_token_id=1,
            eos_token_id=2, pad_token_id=0, **sizes,
        ),
        image_token_index=4,
    )  # fmt: skip
    torch.manual_seed(seed)
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    images = CLIPImageProcessor(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
    template = (
        "{% for m in messages %}{% for c in m['content'] %}{% if c['type'] == 'image' %}<image> "
        "{% else %}{{ c['text'] }} {% endif %}{% endfor %}{% endfor %}"
    )
    LlavaProcessor(
        images, tokenizer, patch_size=PATCH, vision_feature_select_strategy="default",
        chat_template=template, image_token="<image>", num_additional_image_tokens=1,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def tiny_language_model(folder: Path, seed: int = 0) -> Path:
    """Save a small GPT-2."""
    tokenizer = word_tokenizer()
    torch.manual_seed(seed)
    GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(tokenizer),
            n_positions=64,
            n_embd=16,
            n_layer=2,
            n_head=4,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
        )
    ).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_qwen(folder: Path, seed: int = 0) -> Path:
    """Save a small Qwen2-VL, whose processor says of each token whether it is the image's."""
    from transformers import (
        Qwen2VLConfig,
        Qwen2VLForConditionalGeneration,
        Qwen2VLImageProcessor,
        Qwen2VLProcessor,
        Qwen2VLVideoProcessor,
    )

    tokenizer = word_tokenizer()
    tokenizer.add_special_tokens(
        {"additional_special_tokens": ["<image>", "<|image_pad|>", "<|video_pad|>"]}
    )
    image, video = (tokenizer.convert_tokens_to_ids(f"<|{n}_pad|>") for n in ("image", "video"))
    config = Qwen2VLConfig(
        text_config={
            "vocab_size": len(tokenizer), "hidden_size": 16, "intermediate_size": 32,
            "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2,
            "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
            "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]},
        },
        vision_config={
            "depth": 1, "embed_dim": 16, "num_heads": 2, "hidden_size": 16, "patch_size": 4,
            "spatial_merge_size": 2, "temporal_patch_size": 2, "in_channels": 3,
        },
        image_token_id=image, video_token_id=video, vision_start_token_id=1,
        vision_end_token_id=2,
    )  # fmt: skip
    torch.manual_seed(seed)
    model = Qwen2VLForConditionalGeneration(config)
    model.generation_config.eos_token_id = [2, 3]
    model.generation_config.pad_token_id = 0
    model.save_pretrained(folder)
    options = {"patch_size": 4, "temporal_patch_size": 2, "merge_size": 2,
               "min_pixels": 64, "max_pixels": 1024}  # fmt: skip
    template = (
        "{% for m in messages %}{% for c in m['content'] %}{% if c['type'] == 'image' %}"
        "<|image_pad|> {% else %}{{ c['text'] }} {% endif %}{% endfor %}{% endfor %}"
    )
    Qwen2VLProcessor(
        Qwen2VLImageProcessor(**options), tokenizer, Qwen2VLVideoProcessor(**options),
        chat_template=template,
    ).save_pretrained(folder)  # fmt: skip
    return folder
