"""Finds what looks wrong in an export that can be sent; it is reported, and nothing is rejected."""
