"""A first schema for an export that nobody has described yet: what ``backfill init`` writes."""
