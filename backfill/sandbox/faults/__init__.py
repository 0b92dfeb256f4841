"""Faults on purpose: a script of bad answers, and how each is given."""
