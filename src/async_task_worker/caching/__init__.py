"""The result cache of a worker: one lookup per task, single-flight and the adapter of its storage."""
