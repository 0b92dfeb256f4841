"""The Klaviyo account that a run is for: which one it is, and what it says it holds."""
