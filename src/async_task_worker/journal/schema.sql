-- Version 1. Each later version is a numbered file of its own, applied once and in order.

CREATE TABLE task (
    seq        INTEGER PRIMARY KEY,           -- the order in which tasks were added
    id         TEXT    NOT NULL,
    name       TEXT    NOT NULL,              -- the task type its function is registered under
    status     INTEGER NOT NULL DEFAULT 0,    -- 0 pending, 1 running, 2 completed, 3 failed, 4 cancelled
    priority   INTEGER NOT NULL DEFAULT 0,
    phase      TEXT,
    attempt    INTEGER NOT NULL DEFAULT 0,    -- how often it was started
    recoveries INTEGER NOT NULL DEFAULT 0,    -- how often its process died while it ran
    once       INTEGER NOT NULL DEFAULT 0,    -- 1: must not run again after that
    from_cache INTEGER NOT NULL DEFAULT 0,
    changes    INTEGER NOT NULL DEFAULT 0,
    progress   REAL    NOT NULL DEFAULT 0,
    timeout    REAL,                          -- seconds
    created_at REAL    NOT NULL,              -- seconds since the epoch, like all times here
    started_at REAL,
    ended_at   REAL,
    run_at     REAL,                          -- not before this moment
    arguments  BLOB,                          -- [positional, named]; NULL for none
    metadata   BLOB,
    result     BLOB,                          -- NULL for None
    error      TEXT,
    detail     BLOB                           -- of the error, or why there is no result here
);

CREATE UNIQUE INDEX task_id ON task (id);
CREATE INDEX task_pending ON task (priority, seq) WHERE status = 0;
CREATE INDEX task_due ON task (run_at) WHERE run_at IS NOT NULL AND status = 0;
CREATE INDEX task_running ON task (seq) WHERE status = 1;
CREATE INDEX task_created ON task (created_at);
CREATE INDEX task_finished ON task (status, created_at) WHERE status >= 2;
CREATE INDEX task_ended ON task (ended_at) WHERE status >= 2;
CREATE INDEX task_name ON task (name, created_at);

CREATE TABLE fact (
    name  TEXT PRIMARY KEY,
    value
) WITHOUT ROWID;
