"""Exports (CSV, Parquet or frame) read as one stream of text columns."""

from backfill.sources.export import Export, open_export
from backfill.sources.source import ReadOptions

__all__ = ["Export", "ReadOptions", "open_export"]
