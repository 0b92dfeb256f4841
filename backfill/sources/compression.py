"""A file's bytes, decompressed. gzip and zstd are recognised by their first bytes."""

import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import pyarrow as pa

from backfill.errors import ExportError
from backfill.sources.files import read_errors

CHUNK_BYTES: Final = 1 << 18
"""Read at once. It must stay below ``CELL_MAX_BYTES``, because longer cells are looked for chunk by
chunk. It is half of a second-level cache: consecutive checks of a chunk find it there."""

BOMB_BYTES: Final = 256_000_000
"""Decompressed from one stretch of the file before the stretch's ratio is checked."""

Compression = Literal["none", "gzip", "zstd", "parquet"]
"""``parquet`` is a format of its own; its reader decompresses it."""

BOMB_RATIOS: Final[dict[Compression, int]] = {"gzip": 150, "zstd": 250}
"""Real exports shrink 5 to 20 times. The most repetitive ones that still number their orders, with
nearly all columns empty, reached 53 with gzip and 153 with zstd -19; rows that are all equal
reached 174 (gzip -1) to 1,000 with gzip and 11,000 with zstd."""

_READ_AHEAD: Final = 1 << 16
"""What the decompressors take from the file before they need it."""

_GZIP, _ZSTD, _PARQUET = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1"

_SIGNATURES: Final[dict[bytes, Compression]] = {
    _GZIP: "gzip",
    _ZSTD: "zstd",
    _PARQUET: "parquet",
}

_SAVE_AS: Final = "open it in its program and save it as CSV"
_WEB_PAGE: Final = "a web page, perhaps the shop's log-in; download the export again"
_JSON: Final = "JSON; write it as CSV or Parquet"

_OTHER_FORMATS: Final = {
    b"PK\x03\x04": f"a zip archive or an Excel workbook; unzip it, or {_SAVE_AS}",
    b"\xd0\xcf\x11\xe0": f"an old Excel workbook; {_SAVE_AS}",
    b"%PDF-": "a PDF; export the orders as CSV",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"BZh91AY&SY": "compressed with bzip2; decompress it, or use gzip or zstd",
    b"\xfd7zXZ\x00": "compressed with xz; decompress it, or use gzip or zstd",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive; unpack it",
    b"SQLite format 3\x00": "a SQLite database; export the table as CSV or Parquet",
    b"Obj\x01": "an Avro file; write it as Parquet",
    b"ARROW1\0\0": "an Arrow file; write it as Parquet",
    b"{\\rtf": f"an RTF document; {_SAVE_AS}",
    b"<!DOCTYPE": _WEB_PAGE,
    b"<!doctype": _WEB_PAGE,
    b"<html": _WEB_PAGE,
    b"<?xml": f"XML; {_SAVE_AS}",
    b'{"': _JSON,
    b"[{": _JSON,
}

_INSIDE_COMPRESSED: Final = {
    _GZIP: "compressed twice; decompress it once",
    _ZSTD: "compressed twice; decompress it once",
    _PARQUET: "a Parquet file inside; decompress it, Parquet is compressed already",
}


def compression_of(path: Path, name: str) -> Compression:
    with read_errors(name), path.open("rb") as file:
        head = file.read(4)
    found = (kind for signature, kind in _SIGNATURES.items() if head.startswith(signature))
    return next(found, "none")


def refuse_other_formats(head: bytes, name: str, compression: Compression) -> None:
    """Raise ExportError if ``head``, the first decompressed bytes, is known to be no text."""
    known = _OTHER_FORMATS if compression == "none" else _OTHER_FORMATS | _INSIDE_COMPRESSED
    for signature, what in known.items():
        if head.startswith(signature):
            raise ExportError(f"{name}: is no CSV but {what}")


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
