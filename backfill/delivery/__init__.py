"""Delivers a plan once: posts its events, and records what Klaviyo acknowledged."""
