"""Exports as they come, CSV, Parquet or frame, as one stream of text columns."""

from backfill.sources.export import Export, open_export
from backfill.sources.part import Reading

__all__ = ["Export", "Reading", "open_export"]
