"""Conversion between values and JSON, and the redaction of what is shown."""
