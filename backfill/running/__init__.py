"""One run: its options, its folder and lock, its plan, its gates, its history."""
