"""How much memory arrays take once their dictionaries are unfolded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Sizes = NDArray[np.int64]


def row_sizes(array: pa.Array, overhead: int = 0) -> Sizes:
    """Return how many bytes each row of an array takes once dictionaries are unfolded.

    A dictionary holds a text once, however many rows refer to it; here it counts for each row.

    Args:
        array: An array of any type, including dictionaries within lists and structures.
        overhead: Additional bytes per value, as for Python objects.
    """
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        return row_sizes(array.storage, overhead)
    if pa.types.is_dictionary(kind):
        values = np.append(row_sizes(array.dictionary, overhead), overhead)  # last entry: null
        indices = pc.fill_null(array.indices.cast(pa.int64()), len(values) - 1)
        return values[indices.to_numpy(zero_copy_only=False)]
    if pa.types.is_struct(kind):
        parts = [row_sizes(child, overhead) for child in array.flatten()]
        return np.sum([np.full(len(array), overhead, np.int64), *parts], axis=0)
    if _is_list(kind):
        return _list_sizes(array, overhead)
    if kind.num_fields:  # maps, unions, runs …, which do not occur in this project's tables
        return np.full(len(array), array.nbytes + overhead, np.int64)
    return _leaf_sizes(array) + overhead


def plain(kind: pa.DataType) -> pa.DataType:
    """Return a type with its dictionaries unfolded.

    >>> plain(pa.list_(pa.dictionary(pa.int32(), pa.string())))
    ListType(list<item: string>)
    """
    if pa.types.is_dictionary(kind):
        return plain(kind.value_type)
    if pa.types.is_struct(kind):
        return pa.struct([_plain_field(kind.field(at)) for at in range(kind.num_fields)])
    if pa.types.is_large_list(kind):
        return pa.large_list(_plain_field(kind.value_field))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_plain_field(kind.value_field), kind.list_size)
    if pa.types.is_list(kind):
        return pa.list_(_plain_field(kind.value_field))
    return kind


def _plain_field(field: pa.Field) -> pa.Field:
    return field.with_type(plain(field.type))


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _list_sizes(array: Any, overhead: int) -> Sizes:
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
    # flatten() gives only the values of these rows, without those of null rows.
    values = row_sizes(array.flatten(), overhead)
    ends = np.cumsum(lengths, dtype=np.int64)
    totals = np.concatenate([np.zeros(1, np.int64), np.cumsum(values, dtype=np.int64)])
    starts = ends - lengths
    return np.asarray(totals[ends] - totals[starts] + overhead, np.int64)


def _leaf_sizes(array: pa.Array) -> Sizes:
    kind = array.type
    binary = (
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_string,
        pa.types.is_large_string,
    )
    if any(is_kind(kind) for is_kind in binary):
        lengths = pc.fill_null(pc.binary_length(array), 0).to_numpy(zero_copy_only=False)
        return lengths.astype(np.int64)
    try:
        width = max(1, kind.bit_width // 8)
    except ValueError:  # views and other types without a fixed width
        width = max(1, array.nbytes)
    return np.full(len(array), width, np.int64)
