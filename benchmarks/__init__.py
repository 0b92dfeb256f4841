"""How fast, and in how much memory: planning by itself, delivery against its transport."""
