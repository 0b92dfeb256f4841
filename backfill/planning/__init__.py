"""Makes a plan of an export: its events, mapped and judged, and its rejects."""
