"""The bytes of a file, unpacked: gzip and zstd are known by their first bytes, not by the name."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import pyarrow as pa

from backfill.errors import ExportError

CHUNK_BYTES: Final = 1 << 18
"""Read at once. It must stay below a cell's limit: the guard looks for longer cells chunk by
chunk. Half of a second-level cache, so that the checks after one another find it warm."""

BOMB_BYTES: Final = 256_000_000
"""Unpacked from one stretch of the packed file before its ratio is looked at."""

Packing = Literal["plain", "gzip", "zstd", "parquet"]

BOMB_RATIOS: Final[dict[Packing, int]] = {"gzip": 150, "zstd": 250}
"""Real exports pack 5 to 20 to 1. The most repetitive that still number their orders, nearly all of
their columns empty, reached 53 with gzip and 153 with zstd -19; rows that are all equal 174 (gzip
-1) to 1,000 with gzip and 11,000 with zstd."""

_READ_AHEAD: Final = 1 << 16
"""What the unpackers take from the file before they need it."""

_PACKINGS: Final[dict[bytes, Packing]] = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PAR1": "parquet",
}

_SAVE_AS: Final = "open it in its program and save it as CSV"

_STRANGERS: Final = {
    b"PK\x03\x04": f"a zip archive or an Excel workbook; unzip it, or {_SAVE_AS}",
    b"\xd0\xcf\x11\xe0": f"an old Excel workbook; {_SAVE_AS}",
    b"%PDF-": "a PDF; export the orders as CSV",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"BZh91AY&SY": "packed with bzip2; unpack it, or pack it with gzip or zstd",
    b"\xfd7zXZ\x00": "packed with xz; unpack it, or pack it with gzip or zstd",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive; unpack it",
    b"SQLite format 3\x00": "a SQLite database; export the table as CSV or Parquet",
    b"Obj\x01": "an Avro file; write it as Parquet",
    b"ARROW1\0\0": "an Arrow file; write it as Parquet",
    b"{\\rtf": f"an RTF document; {_SAVE_AS}",
    b"<!DOCTYPE": "a web page, perhaps the shop's log-in; download the export again",
    b"<!doctype": "a web page, perhaps the shop's log-in; download the export again",
    b"<html": "a web page, perhaps the shop's log-in; download the export again",
    b"<?xml": f"XML; {_SAVE_AS}",
    b'{"': "JSON; write it as CSV or Parquet",
    b"[{": "JSON; write it as CSV or Parquet",
}

_ONCE_UNPACKED: Final = {
    b"\x1f\x8b": "packed twice; unpack it once",
    b"\x28\xb5\x2f\xfd": "packed twice; unpack it once",
    b"PAR1": "a Parquet file inside; unpack it, Parquet is packed already",
}


def packing_of(path: Path, name: str) -> Packing:
    with faults_of(name), path.open("rb") as file:
        head = file.read(4)
    return next((kind for magic, kind in _PACKINGS.items() if head.startswith(magic)), "plain")


def refuse_other_formats(head: bytes, name: str, packing: Packing) -> None:
    """Raise for what is known to be no text; ``head`` is the unpacked beginning."""
    known = _STRANGERS if packing == "plain" else _STRANGERS | _ONCE_UNPACKED
    for magic, what in known.items():
        if head.startswith(magic):
            raise ExportError(f"{name}: is no CSV but {what}")


def unpacked(
    path: Path,
    name: str,
    packing: Packing,
    chunk_bytes: int = CHUNK_BYTES,
    *,
    bomb_bytes: int = BOMB_BYTES,
) -> Iterator[bytes]:
    """The file's bytes, at most ``chunk_bytes`` at a time, checked to be whole where packed.

    Raises:
        ExportError: the file cannot be opened, its packing is damaged or cut short, or one stretch
            of it unpacks to ``bomb_bytes`` beyond its ratio in ``BOMB_RATIOS``.
    """
    with faults_of(name), path.open("rb") as raw:
        stream = _opened(raw, packing)
        came, began = 0, 0
        while chunk := stream.read(chunk_bytes):
            yield chunk
            came += len(chunk)
            if came >= bomb_bytes:
                # stretch by stretch, so that noise in front of a bomb does not hide it
                _refuse_bomb(name, packing, came, raw.tell() - began)
                came, began = 0, raw.tell()


def _refuse_bomb(name: str, packing: Packing, came: int, packed: int) -> None:
    ratio = BOMB_RATIOS.get(packing)
    if ratio is not None and came > ratio * (packed + _READ_AHEAD):
        raise ExportError(
            f"{name}: {came:,} bytes came out of {packed:,} bytes of {packing} data, over "
            f"{ratio} to 1, and no export packs so well; if it is one, unpack it yourself and "
            "name that file"
        )


def text_estimate(path: Path, name: str, packing: Packing) -> int:
    """About how many bytes the file unpacks to, judged by its first megabyte."""
    with faults_of(name), path.open("rb") as raw:
        size = path.stat().st_size
        if packing == "plain":
            return size
        stream = _opened(raw, packing)  # held: pyarrow closes the file with its stream
        got = len(stream.read(1_000_000))
        return max(got, got * size // max(raw.tell(), 1))


def _opened(raw: io.BufferedReader, packing: Packing) -> io.IOBase | pa.NativeFile:
    if packing == "gzip":
        return gzip.GzipFile(fileobj=raw)
    if packing == "zstd":
        return pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")
    return raw


@contextmanager
def faults_of(name: str) -> Iterator[None]:
    """What the system and the packers say about a file, as one sentence of ours."""
    try:
        yield
    except FileNotFoundError as error:
        raise ExportError(f"{name}: there is no such file") from error
    except PermissionError as error:
        raise ExportError(f"{name}: may not be read by this user; check its permissions") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ExportError(f"{name}: {_damage('gzip', error)}") from error
    except OSError as error:
        if error.errno is None:  # pyarrow's unpacker speaks without a number
            raise ExportError(f"{name}: {_damage('zstd', error)}") from error
        raise ExportError(f"{name}: cannot be read ({error.strerror})") from error


def _damage(packing: str, error: Exception) -> str:
    cut = isinstance(error, EOFError) or "Truncated" in str(error)
    what = "ends too early" if cut else "is damaged"
    return f"the {packing} data {what}; download or copy the file again"
