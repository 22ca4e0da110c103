"""Uploading the datasets that a config names."""

from __future__ import annotations

from typing import Literal

from milannotations.errors import InputError
from milannotations.hub.config import PushConfig
from milannotations.hub.push import PushReport, push


def run_push(config: PushConfig) -> PushReport:
    """Upload datasets, or find out what would be uploaded.

    Raises:
        InputError: If two options contradict each other; otherwise as in ``push``.
    """
    if config.without_images and config.may_redistribute:
        raise InputError("pass either --without-images or --i-may-redistribute-images")
    include: bool | Literal["auto"] = "auto"
    if config.without_images or config.may_redistribute:
        include = config.may_redistribute
    return push(
        config.configs,
        config.repo,
        private=config.private,
        dry_run=config.dry_run,
        revision=config.revision,
        include_images=include,
    )
