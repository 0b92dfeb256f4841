"""A file's bytes, decompressed. gzip and zstd are recognised by their first bytes."""

import gzip
import io
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal

import pyarrow as pa

from backfill.errors import ExportError
from backfill.sources.files import read_errors

CHUNK_BYTES: Final = 1 << 18
"""The bytes that are read at once: fewer than ``CELL_MAX_BYTES``, because each chunk is checked for
longer cells. They are half of a second-level cache, where consecutive checks find a chunk."""

BOMB_BYTES: Final = 256_000_000
"""The bytes that come out of one stretch of the file before the stretch's ratio is checked."""

Compression = Literal["none", "gzip", "zstd", "parquet"]
"""``parquet`` is a format of its own; its reader decompresses it."""

BOMB_RATIOS: Final[dict[Compression, int]] = {"gzip": 150, "zstd": 250}
"""The highest ratios of text to compressed data. Real exports shrink 5 to 20 times. The most
repetitive ones that still number their orders, with nearly all columns empty, reached 53 with gzip
and 153 with zstd -19; rows that are all equal reached 174 (gzip -1) to 1,000 with gzip and 11,000
with zstd."""

_READ_AHEAD: Final = 1 << 16
"""The bytes that the decompressors take from the file before they need them."""

_FORMATS: Final = tomllib.loads(
    Path(__file__).with_name("signatures.toml").read_text(encoding="utf-8")
)
"""Formats by their first bytes, each byte as one character: ``read`` are those that are read, the
others are named in messages, some of them only inside compressed files."""


def compression_of(path: Path, name: str) -> Compression:
    with read_errors(name), path.open("rb") as file:
        head = file.read(4)
    found: Compression = _format_of(head, "read") or "none"
    return found


def refuse_other_formats(head: bytes, name: str, compression: Compression) -> None:
    """Raise ExportError if ``head``, the first decompressed bytes, is known to be no text."""
    what = _format_of(head, "other")
    if compression != "none":
        what = what or _format_of(head, "inside_compressed")
    if what:
        raise ExportError(f"{name}: is not a CSV file but {what}")


def _format_of(head: bytes, group: str) -> Any:
    """The format that begins as ``head`` does, in words of ``signatures.toml``; None for others."""
    text = head.decode("latin-1")
    return next((what for sign, what in _FORMATS[group].items() if text.startswith(sign)), None)


def decompressed(
    path: Path,
    name: str,
    compression: Compression,
    chunk_bytes: int = CHUNK_BYTES,
    *,
    bomb_bytes: int = BOMB_BYTES,
) -> Iterator[bytes]:
    """The file's bytes, at most ``chunk_bytes`` at a time.

    Raises:
        ExportError: the file cannot be opened, its compressed data is damaged or cut short, or one
            stretch of it decompresses to ``bomb_bytes`` and more than its ratio in
            ``BOMB_RATIOS`` allows.
    """
    with read_errors(name), path.open("rb") as raw:
        stream = _opened(raw, compression)
        size, start = 0, 0
        while chunk := stream.read(chunk_bytes):
            yield chunk
            size += len(chunk)
            if size >= bomb_bytes:
                # stretch by stretch, so that noise in front of a bomb does not hide it
                _refuse_bomb(name, compression, size, raw.tell() - start)
                size, start = 0, raw.tell()


def _refuse_bomb(name: str, compression: Compression, size: int, compressed: int) -> None:
    ratio = BOMB_RATIOS.get(compression)
    if ratio is not None and size > ratio * (compressed + _READ_AHEAD):
        raise ExportError(
            f"{name}: {size:,} bytes came out of {compressed:,} bytes of {compression} data, over "
            f"{ratio} to 1, and no export shrinks so much; if it is one, decompress it yourself "
            "and name that file"
        )


def estimated_text_bytes(path: Path, name: str, compression: Compression) -> int:
    """About how many bytes the file decompresses to, estimated from its first megabyte."""
    with read_errors(name), path.open("rb") as raw:
        size = path.stat().st_size
        if compression == "none":
            return size
        stream = _opened(raw, compression)  # a name, because pyarrow closes the file with it
        read = len(stream.read(1_000_000))
        return max(read, read * size // max(raw.tell(), 1))


def _opened(raw: io.BufferedReader, compression: Compression) -> io.IOBase | pa.NativeFile:
    if compression == "gzip":
        return gzip.GzipFile(fileobj=raw)
    if compression == "zstd":
        return pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")
    return raw
