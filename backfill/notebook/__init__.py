"""The Python API, for notebooks and scripts; ``import backfill as bf`` gives it."""
