"""What is known of tasks: the ledger, its events and those who wait for them."""
