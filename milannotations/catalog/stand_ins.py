"""Reading checkpoints without running their code: inert stand-ins for objects other than tensors.

Training scripts save arguments, paths, dates, random states and numpy scalars with the weights.
``torch.load(weights_only=True)`` refuses files that name such classes. Here each of a short list of
names is read as an object that stores nothing and does nothing; the class itself is neither
imported nor called. Any other class is refused, and ``foreign_objects`` reports its position.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

_MOST_BYTES = 256 * 2**20  # of a pickle without its tensors
_MOST_OBJECTS = 1_000_000
_LEGACY_HEADERS = 3  # pickles before the object in PyTorch's format before 1.6


class _Nothing:
    """Stands for an object whose content is ignored."""

    def __new__(cls, *_: object, **__: object) -> Any:
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        """Discard the state."""


class _Entries:
    """Stands for a class of dictionaries, whose entries may hold tensors."""

    def __new__(cls, *_: object, **__: object) -> Any:
        """Return a dictionary that torch fills in."""
        return OrderedDict()


_OBJECTS = (
    "argparse.Namespace",
    "types.SimpleNamespace",
    *(f"builtins.{name}" for name in ("list", "dict", "int", "float", "str", "slice", "complex",
                                      "range")),
    *(f"{module}.{name}" for module in ("pathlib", "pathlib._local")
      for name in ("Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath",
                   "PureWindowsPath")),
    *(f"datetime.{name}" for name in ("datetime", "date", "time", "timedelta", "timezone")),
    "_codecs.encode",
    "numpy.dtype", "numpy.ndarray",
    *(f"numpy.{core}.{name}" for core in ("core", "_core")
      for name in ("multiarray.scalar", "multiarray._reconstruct", "numeric._frombuffer")),
    *(f"numpy.dtypes.{name}DType" for name in (
        "Bool", "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64",
        "Float16", "Float32", "Float64", "Str", "Bytes")),
    "typing.Any",
    *(f"omegaconf.{name}" for name in (
        "dictconfig.DictConfig", "listconfig.ListConfig", "base.ContainerMetadata",
        "base.Metadata", "nodes.AnyNode", "nodes.BooleanNode", "nodes.IntegerNode",
        "nodes.FloatNode", "nodes.StringNode")),
    "ml_collections.config_dict.config_dict.ConfigDict",
)  # fmt: skip
_DICTIONARIES = (
    "collections.defaultdict",
    "yacs.config.CfgNode",
    "easydict.EasyDict",
    "addict.addict.Dict",
    "lightning.fabric.utilities.data.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "lightning.pytorch.utilities.parsing.AttributeDict",
    "pytorch_lightning.utilities.parsing.AttributeDict",
)
STAND_INS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    *((_Nothing, name) for name in _OBJECTS),
    *((_Entries, name) for name in _DICTIONARIES),
]
_HARMLESS = frozenset((*_OBJECTS, *_DICTIONARIES))


class _Mark(dict[Any, Any]):
    """Stands for any object of a pickle in an outline: it accepts all calls and does nothing."""

    qualified = ""

    def __new__(cls, *_: object, **__: object) -> Any:
        return super().__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__()

    def __call__(self, *_: object, **__: object) -> Any:
        return self

    def __setstate__(self, state: object) -> None:
        self["its state"] = state

    def append(self, item: object) -> None:
        """Store an item."""
        self[len(self)] = item

    add = append

    def extend(self, items: Any) -> None:
        """Store several items."""
        for item in items:
            self.append(item)

    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)


class _Outline(pickle.Unpickler):
    """Reads the structure of a pickle; no class or function that it names is looked up."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        return type(name, (_Mark,), {"qualified": f"{module}.{name}"})

    def persistent_load(self, pid: object) -> Any:
        # PyTorch's format before 1.6 stores the classes of modules and their source code here.
        is_class = isinstance(pid, tuple) and len(pid) > 1 and pid[0] == "module"
        return pid[1] if is_class else _Mark()  # type: ignore[index]


def foreign_objects(path: Path) -> list[tuple[str, str]]:
    """Return the objects in a checkpoint that are not read: the position and class of each.

    Args:
        path: A file that ``torch.save`` wrote.

    Returns:
        Pairs such as ``("['hyper']['loss']", "my.package.Loss")``; an empty list if there are none,
        or if the file cannot be read. The position of the whole file is an empty string.
    """
    try:
        tree = _outline(path)
    except Exception:  # a damaged or hostile pickle may raise anything
        return []
    return list(_foreign(tree))


def tensor_place(path: Path) -> str:
    """Return where most tensors of a checkpoint are, such as ``['state_dict']``; empty if none."""
    try:
        tree = _outline(path)
    except Exception:
        return ""
    best, most = "", 0
    for location, value in _walk(tree):
        if isinstance(value, Mapping) and not getattr(value, "qualified", ""):
            count = sum(_is_tensor(item) for item in value.values())
            if count > most:
                best, most = location, count
    return best


def _outline(path: Path) -> Any:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if info.filename.endswith("data.pkl") and info.file_size <= _MOST_BYTES:
                    return _Outline(io.BytesIO(archive.read(info))).load()
        return None
    with path.open("rb") as file:
        for _ in range(_LEGACY_HEADERS):
            _Outline(file).load()
        return _Outline(file).load()


def _walk(tree: Any) -> Iterator[tuple[str, Any]]:
    """Yield each object with its position, the outermost first."""
    waiting: list[tuple[str, Any]] = [("", tree)]
    seen: set[int] = set()
    while waiting and len(seen) < _MOST_OBJECTS:
        location, value = waiting.pop(0)
        if id(value) in seen:
            continue
        seen.add(id(value))
        yield location, value
        if _is_tensor(value) or (isinstance(value, _Mark) and value.qualified not in _HARMLESS):
            continue
        if isinstance(value, Mapping):
            waiting += [(f"{location}[{key!r}]", item) for key, item in value.items()]
        elif isinstance(value, list | tuple | set):
            waiting += [(f"{location}[{number}]", item) for number, item in enumerate(value)]


def _foreign(tree: Any) -> Iterator[tuple[str, str]]:
    for location, value in _walk(tree):
        if (isinstance(value, type) and issubclass(value, _Mark)) or isinstance(value, _Mark):
            name = value.qualified
        else:
            continue
        if name and name not in _HARMLESS and not _of_torch(name):
            yield location, name


def _is_tensor(value: Any) -> bool:
    return isinstance(value, _Mark) and value.qualified.startswith("torch._utils._rebuild")


def _of_torch(name: str) -> bool:
    """Return whether torch itself reads an object of that name, as tensors and their types."""
    if name.startswith(("torch._utils._rebuild", "torch.storage")):
        return True
    return name.count(".") == 1 and name.startswith(("torch.", "collections."))
