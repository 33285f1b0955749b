-- Version 2: cached results. An entry is two rows, so that noting its use never rewrites its value.

CREATE TABLE cached (
    number     INTEGER PRIMARY KEY,           -- a new one whenever a result is stored
    key        BLOB    NOT NULL,
    used       INTEGER NOT NULL,              -- grows with each use: the least recently used has the lowest
    expires_at REAL,                          -- NULL for never
    size       INTEGER NOT NULL,              -- bytes of the value
    entry_id   BLOB,                          -- what the task that stored it may call it
    alias      BLOB
);

CREATE TABLE cached_value (
    number INTEGER PRIMARY KEY,
    value  BLOB NOT NULL                      -- signed together with its key
);
