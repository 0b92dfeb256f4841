"""The ledger: what was delivered, in a file that survives a kill."""
