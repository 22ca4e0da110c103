"""The card of a hub repository: what each config is, as YAML for programs and prose for people."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from datasets import SplitDict, SplitInfo
from datasets.info import DatasetInfo, DatasetInfosDict
from huggingface_hub import DatasetCard, DatasetCardData
from pydantic import BaseModel, ConfigDict, Field

from milannotations.catalog.releases import RELEASES
from milannotations.errors import InputError
from milannotations.json_files import parse_json
from milannotations.page import markdown_environment
from milannotations.record import FEATURES

# Names go into YAML, Markdown tables and paths: nothing that could end any of them is allowed.
NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}"
SPLIT = "train"
MAX_TEXT = 200_000
_WORD = r"[A-Za-z0-9_.:/-]{1,200}"
_MAX_FACTS = 10_000_000
# The hub's own categories, https://huggingface.co/docs/hub/datasets-cards; the last is open-ended.
_SIZES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"),
    (10**9, "100M<n<1B"),
)
_Name = Annotated[str, Field(pattern=f"^{NAME}$")]
_Word = Annotated[str, Field(pattern=f"^{_WORD}$")]
_Count = Annotated[int, Field(ge=0)]


class Facts(BaseModel):
    """What the card says about one config; kept in the repository as ``data/<config>/facts.json``.

    Attributes:
        config: Name of the config.
        model: Architecture, as the records name it.
        dataset: Data the network was trained on, as the records name it.
        layers: Units of each layer.
        neurons: Units in all.
        annotations: Annotations in all.
        with_images: Neurons whose exemplars have their images.
        file_bytes: Size of the shards.
        data_bytes: Size of the shards' columns before compression.
        fingerprint: See ``milannotations.fingerprints``.
        differences: How it differs from what was published for this config.
        quality: Data-quality tables in Markdown; may be empty.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    config: _Name
    model: _Word
    dataset: _Word
    layers: dict[_Word, _Count]
    neurons: _Count
    annotations: _Count
    with_images: _Count
    file_bytes: _Count
    data_bytes: _Count
    fingerprint: Annotated[str, Field(pattern=r"^([0-9a-f]{16})?$")] = ""
    differences: list[Annotated[str, Field(max_length=1000)]] = []
    quality: Annotated[str, Field(max_length=MAX_TEXT)] = ""

    @property
    def annotated_by_people(self) -> bool:
        """Whether this is one of the networks that MILANNOTATIONS annotated."""
        return f"{self.model}-{self.dataset}" in RELEASES

    @property
    def of_imagenet(self) -> bool:
        """Whether the exemplars are ImageNet's images or, for an unknown network, may be."""
        names = (f"{self.model}-{self.dataset}", self.config)
        releases = [RELEASES[name] for name in names if name in RELEASES]
        if not releases:
            return self.dataset == "imagenet"
        return any(release.source == "imagenet" for release in releases)

    @property
    def images(self) -> str:
        """Whether there are images: ``yes``, ``no``, or ``of 12`` if only 12 neurons have them."""
        if self.with_images in (0, self.neurons):
            return "yes" if self.with_images else "no"
        return f"of {self.with_images}"


def facts_from_json(text: str) -> Facts | None:
    """Read a ``facts.json``; None if this version cannot use it."""
    if len(text) > _MAX_FACTS:
        return None
    try:
        return Facts.model_validate(parse_json(text, "facts.json", dict))
    except ValueError:
        return None


def read_metadata(card: str) -> dict[str, Any]:
    """Return the YAML metadata of a card, with ``configs`` as a list that may be empty.

    Raises:
        InputError: If it is not YAML, or has configs that this project could not keep.
    """
    try:
        metadata: dict[str, Any] = DatasetCard(card, ignore_metadata_errors=True).data.to_dict()
    except (ValueError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise InputError(f"the card's metadata cannot be read: {error}") from error
    configs = metadata.setdefault("configs", [])
    named = isinstance(configs, list) and all(
        isinstance(config, dict) and re.fullmatch(NAME, str(config.get("config_name")))
        for config in configs
    )
    if not named:
        raise InputError(
            "the card's 'configs' must be a list, each with a config_name of letters, digits, "
            f"'_', '.' and '-'; found {str(configs)[:200]}"
        )
    return metadata


def render_card(repo_id: str, facts: Sequence[Facts], present: dict[str, Any] | None = None) -> str:
    """Write the card of a repository.

    Args:
        repo_id: ``user/name`` of the repository, for the loading code.
        facts: Facts of the configs for which they are known.
        present: Metadata of the current card, from ``read_metadata``: its other configs stay
            listed, and settings that this card does not make, such as those of a gate, are kept.

    Returns:
        Markdown after a YAML block, which was parsed again and gives the same metadata.

    Raises:
        InputError: If the metadata does not survive that check, which no valid names can cause.
    """
    metadata = _metadata(list(facts), present or {})
    facts_of = {fact.config: fact for fact in facts}
    configs = [config["config_name"] for config in metadata["configs"]]
    # Every value is checked by Facts, or goes through the filter `plain`.
    environment = markdown_environment(Path(__file__).parent)
    environment.filters["demoted"] = _demoted
    body = environment.get_template("card.md.j2").render(
        title=metadata["pretty_name"],
        repo_id=repo_id,
        facts=[facts_of[config] for config in configs if config in facts_of],
        others=[config for config in configs if config not in facts_of],
        releases=RELEASES,
        any_release=any(fact.annotated_by_people for fact in facts),
    )
    block = yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True, width=100)
    card = f"---\n{block}---\n\n{body}"
    if read_metadata(card) != metadata:
        raise InputError("the card's metadata does not survive being written; check all names")
    return card


def _metadata(facts: list[Facts], present: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata: what we know, merged into what is there."""
    configs = {config["config_name"]: dict(config) for config in present.get("configs", [])}
    for fact in facts:
        path = f"data/{fact.config}/*.parquet"
        # A config whose facts we have is one of ours, so its files lie where we put them.
        configs[fact.config] = {
            "config_name": fact.config,
            "data_files": [{"split": SPLIT, "path": path}],
        }
    for config in configs.values():
        config.pop("default", None)
    if len(configs) == 1:
        next(iter(configs.values()))["default"] = True
    infos = present.get("dataset_info", [])
    others = {
        info["config_name"]: info
        for info in (infos if isinstance(infos, list) else [infos])
        if isinstance(info, dict) and info.get("config_name") in configs
    }
    others.update({info["config_name"]: info for info in _dataset_info(facts)})
    # A config of other origin has no facts; its neurons count if the metadata give their number.
    neurons = sum(_examples(info) for info in others.values())
    size = next((name for bound, name in _SIZES if neurons < bound), "n>1T")
    human = any(fact.annotated_by_people for fact in facts)
    ours = {
        "pretty_name": "MILANNOTATIONS" if human else "Exemplars of vision neurons",
        "license": "other",
        "license_name": "see-section-licences",
        "license_link": "README.md",
        "language": ["en"],
        "tags": ["interpretability", "neurons", "image", "milannotations"],
        "task_categories": ["image-to-text"],
        "size_categories": [size],
        "configs": list(configs.values()),
        "dataset_info": list(others.values()),
    }
    # A licence that somebody chose stays, and so does everything that this card does not set.
    chosen = "license" in present
    return {
        **{name: value for name, value in ours.items() if not (chosen and "license" in name)},
        **{n: v for n, v in present.items() if n not in ours or (chosen and "license" in n)},
    }


def _dataset_info(facts: Sequence[Facts]) -> list[dict[str, Any]]:
    infos = {
        fact.config: DatasetInfo(
            features=FEATURES,
            config_name=fact.config,
            splits=SplitDict(
                {SPLIT: SplitInfo(SPLIT, num_bytes=fact.data_bytes, num_examples=fact.neurons)}
            ),
            download_size=fact.file_bytes,
            dataset_size=fact.data_bytes,
        )
        for fact in facts
    }
    data = DatasetCardData()
    DatasetInfosDict(infos).to_dataset_card_data(data)
    written = data.to_dict().get("dataset_info", [])
    # For a single config `datasets` writes no list; one form is easier to merge.
    listed = written if isinstance(written, list) else [{"config_name": facts[0].config, **written}]
    return [dict(info) for info in listed]


def _examples(info: dict[str, Any]) -> int:
    splits = info.get("splits")
    listed = splits if isinstance(splits, list) else []
    counts = [split.get("num_examples") for split in listed if isinstance(split, dict)]
    return sum(count for count in counts if isinstance(count, int))


def _demoted(markdown: str, below: int = 3) -> str:
    """Return a Markdown text with its highest headings moved to just below a given level.

    >>> _demoted("# Quality\\n## Masks", below=2)
    '### Quality\\n#### Masks'
    """
    text = markdown.strip()
    headings = re.findall(r"^(#{1,6})(?= )", text, flags=re.MULTILINE)
    change = below + 1 - min(map(len, headings), default=below + 1)
    return re.sub(
        r"^(#{1,6})(?= )",
        lambda match: "#" * min(6, len(match[1]) + change),
        text,
        flags=re.MULTILINE,
    )
