"""The Klaviyo account of a run: which one it is, and what it has."""
