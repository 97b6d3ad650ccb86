-- Events that do not count, and why; the same on every rebuild. Filled by the projector, not by a fold.
-- key: scope, seq
-- folds: nothing

-- name: table
CREATE TABLE IF NOT EXISTS quarantined (
    scope       VARCHAR NOT NULL,
    seq         UBIGINT NOT NULL,
    subject     VARCHAR NOT NULL,
    recorded_at TIMESTAMP NOT NULL,
    reason      VARCHAR NOT NULL,     -- streams/reader.py lists them
    detail      VARCHAR NOT NULL,
    source      VARCHAR,              -- who sealed it; NULL when not even that is sure
    type        VARCHAR              -- what it says it is
);
