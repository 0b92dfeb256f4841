"""What people read about plans, runs, differences and accounts, as text and as HTML."""
