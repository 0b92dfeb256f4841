"""Posts one request: how often, how fast, and what its answer means."""
