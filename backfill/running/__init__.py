"""One run, from options to exit: its folder, its lock, its gates, its summary."""
