"""Values and their validation: statuses, records, queries, registered functions."""
