"""Maps rows of an export to events, or to rejects with a reason."""
