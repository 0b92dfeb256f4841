"""Compressed files are read to their end; other formats are refused by name."""

import errno
import gzip
import zlib

import pytest
import zstandard

from backfill.errors import ExportError
from backfill.sources import open_export
from backfill.sources.files import read_errors

CONTENT = b"a,b\n" + b"".join(b"%d,%d\n" % (n, n * n) for n in range(50_000))


def count(path):
    export = open_export([path])
    return sum(batch.num_rows for batch in export.batches([0, 1]))


def zstd(content):
    return zstandard.ZstdCompressor(write_checksum=True).compress(content)


@pytest.mark.parametrize(
    ("packed", "name"),
    [
        pytest.param(gzip.compress(CONTENT), "gzip", id="gzip"),
        pytest.param(zstd(CONTENT), "zstd", id="zstd"),
        pytest.param(gzip.compress(CONTENT[:9]) + gzip.compress(CONTENT[9:]), "gzip", id="members"),
        pytest.param(zstd(CONTENT[:9]) + zstd(CONTENT[9:]), "zstd", id="frames"),
    ],
)
def test_compression_is_recognised_by_the_first_bytes(tmp_path, packed, name):
    path = tmp_path / "orders.csv"
    path.write_bytes(packed)
    assert count(path) == 50_000
    assert f"compressed with {name}" in open_export([path]).notes[0]


def flipped(packed, at):
    return packed[:at] + bytes([packed[at] ^ 0xFF]) + packed[at:][1:]


@pytest.mark.parametrize(
    ("packed", "message"),
    [
        pytest.param(gzip.compress(CONTENT)[:-1], "gzip data ends too early", id="gzip cut"),
        pytest.param(gzip.compress(CONTENT)[:90_000], "gzip data ends too early", id="gzip half"),
        pytest.param(flipped(gzip.compress(CONTENT), -6), "gzip data is damaged", id="checksum"),
        pytest.param(flipped(gzip.compress(CONTENT), 70_000), "gzip data", id="gzip damaged"),
        pytest.param(gzip.compress(CONTENT) + b"junk", "gzip data is damaged", id="junk behind"),
        pytest.param(zstd(CONTENT)[:-1], "zstd data ends too early", id="zstd cut"),
        pytest.param(zstd(CONTENT)[:-9_000], "zstd data ends too early", id="zstd half"),
        pytest.param(flipped(zstd(CONTENT), -2), "zstd data is damaged", id="zstd checksum"),
        pytest.param(zstd(CONTENT) + b"junk", "zstd data is damaged", id="junk behind zstd"),
    ],
)
def test_damage_is_found(tmp_path, packed, message):
    path = tmp_path / "orders.csv.gz"
    path.write_bytes(packed)
    with pytest.raises(ExportError, match=rf"orders\.csv\.gz: the {message}.*again"):
        count(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"PK\x03\x04....", "an Excel workbook.*save it as CSV", id="xlsx"),
        pytest.param(b"\xd0\xcf\x11\xe0....", "an old Excel workbook", id="xls"),
        pytest.param(b"%PDF-1.7", "a PDF", id="PDF"),
        pytest.param(b"<!DOCTYPE html><p>", "a web page", id="a log-in page"),
        pytest.param(b'{"orders": []}', "JSON", id="JSON"),
        pytest.param(gzip.compress(gzip.compress(b"a\n1\n")), "compressed twice", id="twice"),
        pytest.param(gzip.compress(b"PAR1...."), "a Parquet file inside", id="Parquet in gzip"),
        pytest.param(b"\x7fELF\0\0\0", "a NUL byte", id="any binary"),
    ],
)
def test_other_formats_are_named(tmp_path, content, message):
    path = tmp_path / "orders.csv"
    path.write_bytes(content)
    with pytest.raises(ExportError, match=rf"orders\.csv.*{message}"):
        open_export([path])


@pytest.mark.parametrize(
    ("error", "message"),
    [
        pytest.param(FileNotFoundError(), "f: there is no such file", id="gone"),
        pytest.param(PermissionError(), "f: may not be read by this user", id="not allowed"),
        pytest.param(OSError(errno.EIO, "Input/output error"), r"f: cannot be read \(Inp", id="io"),
        pytest.param(zlib.error("x"), "f: the gzip data is damaged", id="deflate"),
    ],
)
def test_a_system_error_becomes_one_sentence(error, message):
    with pytest.raises(ExportError, match=message), read_errors("f"):
        raise error


def test_the_text_in_a_compressed_file_is_estimated(tmp_path):
    path = tmp_path / "orders.csv.gz"
    path.write_bytes(gzip.compress(CONTENT))
    assert open_export([path]).text_bytes == pytest.approx(len(CONTENT), rel=0.3)
