"""Finds what looks wrong in an export although it can be sent: said, not judged."""
