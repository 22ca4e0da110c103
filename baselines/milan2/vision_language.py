"""A pretrained image-text-to-text model that proposes descriptions and gives their probability.

Three kinds of models of ``transformers`` are supported: models with a chat template (LLaVA,
Qwen2-VL, SmolVLM and others), captioners that continue an empty text (BLIP, GIT), and pairs of an
encoder and a decoder (ViT-GPT-2). They run in the precision of their stored weights.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from transformers import (
    AutoImageProcessor,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
)

from baselines.milan2.config import PROMPT
from milannotations.errors import InputError
from milannotations.pretrained import first_line, load_pretrained, load_processor

_MAX_CHARACTERS = 200  # of a proposal


class VisionLanguageModel:
    """Proposes texts for images, and gives log p(text | image).

    Args:
        name: An image-text-to-text model: a folder, or OWNER/NAME of the hub.
        device: Where it runs.
        prompt: The question for a model with a chat template.
        batch_size: Texts per forward pass.

    Raises:
        InputError: If there is no such model, or it is of another kind.
    """

    def __init__(
        self,
        name: str,
        device: torch.device | str = "cpu",
        prompt: str = PROMPT,
        batch_size: int = 16,
    ) -> None:
        what = "vision-language model"
        self.name = name
        self.device = torch.device(device)
        self.batch_size = batch_size
        self._model = load_pretrained(AutoModelForImageTextToText, name, what, own_precision=True)
        self._model = self._model.to(self.device)
        self._processor = load_processor(AutoProcessor, name, f"processor of {what}")
        self._tokenizer: Any = getattr(self._processor, "tokenizer", None)
        self._images: Any = getattr(self._processor, "image_processor", None)
        if self._tokenizer is None or self._images is None:
            # Pairs of an encoder and a decoder have no joint processor.
            self._tokenizer = load_processor(AutoTokenizer, name, f"tokenizer of {what}")
            self._images = load_processor(AutoImageProcessor, name, f"image processor of {what}")
        self._kind = str(self._model.config.model_type)
        self.chats = bool(getattr(self._processor, "chat_template", None))
        self._prompt = ""
        if self.chats:
            content = [{"type": "image"}, {"type": "text", "text": prompt}]
            self._prompt = self._processor.apply_chat_template(
                [{"role": "user", "content": content}], add_generation_prompt=True
            )
        self._start, self._ends = self._limits()
        self._limits_logits = "logits_to_keep" in inspect.signature(self._model.forward).parameters

    @torch.inference_mode()
    def propose(self, image: Image.Image, count: int, length: int = 20) -> list[str]:
        """Return at most ``count`` different texts for an image, by beam search.

        Args:
            image: RGB.
            count: Width of the beam.
            length: Tokens of the longest text.
        """
        inputs = self._inputs(image)
        beam = {"num_beams": count, "num_return_sequences": count, "max_new_tokens": length}
        tokens = self._model.generate(**inputs, **beam, do_sample=False)
        if self.chats:
            tokens = tokens[:, inputs["input_ids"].shape[1] :]
        texts = self._tokenizer.batch_decode(tokens, skip_special_tokens=True)
        cleaned = (_clean(text) for text in texts)
        return list(dict.fromkeys(text for text in cleaned if text))

    @torch.inference_mode()
    def log_prob(self, texts: Sequence[str], image: Image.Image) -> Tensor:
        """Return log p(text | image) of each text, its end included, in nats, (texts,).

        The tokens of the text follow those of the prompt, and only they are counted.
        """
        inputs = self._inputs(image)
        before = inputs.pop("input_ids", None)
        inputs.pop("attention_mask", None)
        if before is None:
            before = torch.tensor([[self._start]], device=self.device)
        sums = [
            self._log_prob(texts[first : first + self.batch_size], before, inputs)
            for first in range(0, len(texts), self.batch_size)
        ]
        return torch.cat(sums) if sums else torch.zeros(0)

    def _log_prob(self, texts: Sequence[str], before: Tensor, inputs: dict[str, Any]) -> Tensor:
        rows = [
            torch.tensor(
                [*self._tokenizer(text, add_special_tokens=False)["input_ids"], self._ends[0]]
            )
            for text in texts
        ]
        lengths = torch.tensor([len(row) for row in rows])
        # Padding comes last, where causal attention keeps it from affecting the text.
        after = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=self._ends[0])
        # Some processors also mark which tokens of the prompt belong to the image.
        inputs = {
            name: functional.pad(value, (0, after.shape[1]))
            if name.endswith("token_type_ids") and value.shape == before.shape
            else value
            for name, value in inputs.items()
        }
        words = torch.cat([before.cpu().expand(len(texts), -1), after], dim=1)
        attended = torch.ones_like(words)
        for row, length in enumerate(lengths.tolist()):
            attended[row, before.shape[1] + length :] = 0
        decoding = "decoder_" if self._kind == "vision-encoder-decoder" else ""
        text_inputs = {f"{decoding}input_ids": words, f"{decoding}attention_mask": attended}
        repeated = {name: _repeat(value, len(texts)) for name, value in inputs.items()}
        size = after.shape[1]
        # A prompt may contain a thousand tokens of the image, whose logits are not needed.
        limit = {"logits_to_keep": size + 1} if self._limits_logits else {}
        tensors = {name: value.to(self.device) for name, value in (text_inputs | repeated).items()}
        outputs = self._model(**tensors, **limit)
        # Counted from the end: some models put the tokens of the image before those of the text.
        logs = outputs.logits[:, -size - 1 : -1].float().log_softmax(-1).cpu()
        chosen = logs.gather(2, after[:, :, None])[:, :, 0]
        # A text may end with any of several tokens, such as the end of a turn.
        ended = logs[:, :, list(self._ends)].logsumexp(2)
        chosen = torch.where(torch.arange(size) == lengths[:, None] - 1, ended, chosen)
        counted = torch.arange(size) < lengths[:, None]
        return torch.where(counted, chosen, torch.zeros_like(chosen)).sum(1)

    def _inputs(self, image: Image.Image) -> dict[str, Any]:
        try:
            if self.chats:
                processed = self._processor(images=image, text=self._prompt, return_tensors="pt")
            else:
                processed = self._images(images=image, return_tensors="pt")
        except (TypeError, ValueError, KeyError) as error:
            raise InputError(
                f"{self.name!r} does not take an image: {first_line(error)}"
            ) from error
        floating = self._model.dtype
        return {
            name: value.to(self.device, floating if value.is_floating_point() else value.dtype)
            for name, value in processed.items()
        }

    def _limits(self) -> tuple[int, tuple[int, ...]]:
        """Return the token that begins a text, and the tokens that may end it."""
        config, generation = self._model.config, self._model.generation_config
        text = getattr(config, "text_config", config)
        starts = (
            getattr(generation, "decoder_start_token_id", None),
            getattr(config, "decoder_start_token_id", None),
            getattr(text, "bos_token_id", None),
            getattr(generation, "bos_token_id", None),
            self._tokenizer.bos_token_id,
            self._tokenizer.cls_token_id,
        )
        # BLIP ends with the separator of BERT, whatever its configuration says.
        ends = (
            getattr(text, "sep_token_id", None) if self._kind.startswith("blip") else None,
            getattr(generation, "eos_token_id", None),
            getattr(text, "eos_token_id", None),
            self._tokenizer.eos_token_id,
            self._tokenizer.sep_token_id,
        )
        start = next((token for token in starts if token is not None), None)
        end = next((token for token in ends if token is not None), None)
        if start is None or end is None:
            raise InputError(f"{self.name!r} does not say which tokens begin and end a text")
        several = end if isinstance(end, list | tuple) else [end]
        return int(start), tuple(int(token) for token in several)


class TextPrior:
    """log p(text) of a causal language model.

    Args:
        name: A folder, or OWNER/NAME of the hub.
        device: Where it runs.

    Raises:
        InputError: If there is no such model.
    """

    def __init__(self, name: str, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self._model = load_pretrained(AutoModelForCausalLM, name, "language model").to(self.device)
        self._tokenizer = load_processor(AutoTokenizer, name, "tokenizer of language model")
        end = self._tokenizer.eos_token_id
        start = self._tokenizer.bos_token_id
        if end is None:
            raise InputError(f"language model {name!r} has no token that ends a text")
        self._start, self._end = end if start is None else start, end

    @torch.inference_mode()
    def log_prob(self, texts: Sequence[str]) -> Tensor:
        """Return log p of each text, its end included, in nats, (texts,)."""
        sums = []
        for text in texts:
            tokens = self._tokenizer(text, add_special_tokens=False)["input_ids"]
            words = torch.tensor([[self._start, *tokens, self._end]], device=self.device)
            logs = self._model(input_ids=words).logits[0, :-1].float().log_softmax(-1)
            sums.append(logs.gather(1, words[0, 1:, None]).sum().cpu())
        return torch.stack(sums) if sums else torch.zeros(0)


def _repeat(value: Tensor, count: int) -> Tensor:
    return value.repeat(count, *[1] * (value.dim() - 1))


def _clean(text: str) -> str:
    """Return the first line of a generated text, without quotes around it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0].strip("\"'` ").rstrip(".")[:_MAX_CHARACTERS].strip() if lines else ""
