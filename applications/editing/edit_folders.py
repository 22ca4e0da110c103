"""The folders of labelled images that an edit needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from applications.config import EditFoldersConfig
from milannotations.errors import InputError
from milannotations.pictures import class_folders

_NAMES = ("train", "validation", "validation-adversarial", "test", "test-adversarial")


@dataclass(frozen=True)
class EditFolders:
    """Where training, validation and test images are.

    Attributes:
        train: Training images; None if there are none.
        validation: Validation sets: ``plain`` and, if there is one, ``adversarial``.
        tests: Test sets, with the same names.
    """

    train: Path | None
    validation: dict[str, Path]
    tests: dict[str, Path]

    @classmethod
    def of(cls, config: EditFoldersConfig) -> EditFolders:
        """Take the subfolders of ``config.data``, and the other folders in their place.

        Raises:
            InputError: If ``config.data`` has no subfolder for an edit.
        """
        data = config.data
        named = [
            config.train_images,
            config.validation,
            config.validation_adversarial,
            config.test,
            config.test_adversarial,
        ]
        folders = dict(zip(_NAMES, named, strict=True))
        if data is not None:
            if not any((data / name).is_dir() for name in _NAMES):
                raise InputError(f"{data} has none of the subfolders {', '.join(_NAMES)}")
            for name in _NAMES:
                if folders[name] is None and (data / name).is_dir():
                    folders[name] = data / name

        def pair(name: str) -> dict[str, Path]:
            sets = {"plain": folders[name], "adversarial": folders[f"{name}-adversarial"]}
            return {kind: folder for kind, folder in sets.items() if folder is not None}

        return cls(folders["train"], pair("validation"), pair("test"))

    def check(self, needs_train: bool, images: Path | None = None) -> None:
        """Check that the folders exist, do not overlap and have the same classes; opens no image.

        Args:
            needs_train: Whether training images are needed.
            images: Folder that exemplars are chosen from.

        Raises:
            InputError: If one is missing, test images overlap with others, or classes differ.
        """
        if not self.validation:
            raise InputError("an edit is chosen on validation images: give --validation or --data")
        if not self.tests:
            raise InputError("an edit is reported on test images: give --test or --data")
        if needs_train and self.train is None:
            raise InputError("--ablation mean and --finetune need --train-images")
        others = [*self.validation.values(), *(p for p in (self.train, images) if p)]
        for test in self.tests.values():
            for other in others:
                a, b = test.resolve(), other.resolve()
                if a.is_relative_to(b) or b.is_relative_to(a):
                    raise InputError(
                        f"test images {test} and {other} overlap: an edit that is chosen on test "
                        "images says nothing"
                    )
        first, *others = [*self.validation.values(), *self.tests.values()]
        classes = _subfolders(first)
        if len(classes) < 2:
            raise InputError(
                f"{first} has images of one class only ({', '.join(classes) or 'none'}): accuracy "
                "on them says nothing; give at least two"
            )
        for folder in others:
            odd = classes ^ _subfolders(folder)
            if odd:
                raise InputError(
                    f"{first} and {folder} have different classes: only one of them has "
                    f"{', '.join(sorted(odd)[:5])}"
                )


def _subfolders(folder: Path) -> set[str]:
    if not folder.is_dir():
        raise InputError(f"folder {folder} does not exist")
    return {path.name for path in class_folders(folder)}
