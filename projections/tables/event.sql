-- Every accepted event, as it was recorded: the log itself, in columns.
-- key: scope, seq
-- folds: *

-- name: table
CREATE TABLE IF NOT EXISTS event (
    scope       VARCHAR NOT NULL,
    seq         UBIGINT NOT NULL,
    recorded_at TIMESTAMP NOT NULL,   -- UTC, the log's clock
    time        TIMESTAMP NOT NULL,   -- UTC, the emitter's clock
    id          VARCHAR NOT NULL,
    type        VARCHAR NOT NULL,     -- noun.past_participle
    source      VARCHAR NOT NULL,     -- the controller id
    subject     VARCHAR NOT NULL,
    cause       VARCHAR,              -- the id of the event this one answers
    correlation VARCHAR,
    basis       JSON,
    data        JSON NOT NULL USING COMPRESSION zstd -- half the time and size of what DuckDB would choose
);

-- name: fold * (of one)
INSERT INTO event
VALUES ($scope, $seq, $recorded_at, $time, $id, $type, $source, $subject, $cause, $correlation,
        $basis, $data);

-- name: fold * (of several)
INSERT INTO event BY NAME
SELECT scope, seq, recorded_at, time, id, type, source, subject, cause, correlation, basis, data
FROM batch;
