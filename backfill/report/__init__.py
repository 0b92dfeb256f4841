"""What people read: plans, runs, differences and accounts, in words and in HTML."""
