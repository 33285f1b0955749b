"""State of tasks: the ledger, its events, and the futures and waiters that they resolve."""
