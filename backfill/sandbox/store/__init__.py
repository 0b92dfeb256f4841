"""What the sandbox has recorded: events, profiles, and the file that keeps them."""
