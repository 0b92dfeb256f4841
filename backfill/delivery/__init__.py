"""Request bodies go to Klaviyo from here, and what it acknowledged into the ledger."""
