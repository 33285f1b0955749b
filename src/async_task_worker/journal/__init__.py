"""Durable storage of tasks in an SQLite file: group commits, acknowledgements, restore after a crash."""
