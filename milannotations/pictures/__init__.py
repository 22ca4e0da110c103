"""Reading pictures and folders of pictures; all code of the project reads them through here.

- ``folders`` lists the pictures in a folder, in the order of torchvision's ``ImageFolder``.
- ``decode`` opens and decodes one picture; all its errors name the picture.
- ``pixels`` converts any kind of pixel to 8-bit RGB.
- ``shown`` and ``utf8``, from ``milannotations.file_names``, make file names fit to print or write.
"""

from __future__ import annotations

from milannotations.file_names import shown, utf8
from milannotations.pictures.decode import (
    MAX_PIXELS,
    UnreadableImageError,
    naming,
    opened,
    problem_of,
    read_rgb,
    size_of,
)
from milannotations.pictures.folders import (
    EXTENSIONS,
    Listing,
    class_folders,
    list_files,
    list_images,
)
from milannotations.pictures.pixels import PictureError, to_rgb

__all__ = [
    "EXTENSIONS",
    "MAX_PIXELS",
    "Listing",
    "PictureError",
    "UnreadableImageError",
    "class_folders",
    "list_files",
    "list_images",
    "naming",
    "opened",
    "problem_of",
    "read_rgb",
    "shown",
    "size_of",
    "to_rgb",
    "utf8",
]
