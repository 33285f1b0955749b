"""Server-sent events: the log of events, and the streams that read it."""
