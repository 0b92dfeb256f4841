"""Writes a first schema for an export: what ``backfill init`` does."""
