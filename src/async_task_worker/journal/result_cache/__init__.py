"""Cached results in the file of a durable worker."""
