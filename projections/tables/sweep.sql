-- Sweeps: asked for, running, over.
-- folds: sweep.requested, sweep.started, sweep.finished, sweep.failed

-- name: table
CREATE TABLE IF NOT EXISTS sweep (
    scope         VARCHAR NOT NULL,
    sweep_id      VARCHAR NOT NULL,
    controller_id VARCHAR NOT NULL,
    trigger_kind  VARCHAR NOT NULL,     -- schedule, demand, start, event
    status        VARCHAR NOT NULL,     -- requested, running, finished, failed
    prefixes      VARCHAR[] NOT NULL,
    probes        VARCHAR[] NOT NULL,
    requested_by  VARCHAR,
    requested_at  TIMESTAMP NOT NULL,
    started_at    TIMESTAMP,
    ended_at      TIMESTAMP,
    attempt       UINTEGER NOT NULL,
    probed        UINTEGER,             -- addresses
    seen          UINTEGER,             -- devices
    new           UINTEGER,
    changed       UINTEGER,
    missed        UINTEGER,
    impaired      VARCHAR[],            -- probes that could not do all of their work
    duration_ms   DOUBLE,
    reason        VARCHAR,              -- of a failure
    detail        VARCHAR,
    first_seq     UBIGINT NOT NULL,
    seq           UBIGINT NOT NULL,
    PRIMARY KEY (scope, sweep_id)
);

-- name: fold
INSERT INTO sweep BY NAME
SELECT scope, data->>'sweep_id' AS sweep_id, data->>'controller_id' AS controller_id,
       data->>'trigger' AS trigger_kind, 'requested' AS status,
       CAST(data->'prefixes' AS VARCHAR[]) AS prefixes, CAST(data->'probes' AS VARCHAR[]) AS probes,
       data->>'requested_by' AS requested_by, recorded_at AS requested_at, 0 AS attempt,
       seq AS first_seq, seq
FROM batch WHERE type = 'sweep.requested'
QUALIFY row_number() OVER (PARTITION BY scope, data->>'sweep_id' ORDER BY seq) = 1
ON CONFLICT DO NOTHING;

-- name: fold
UPDATE sweep
SET status = CASE WHEN ended_at IS NULL THEN 'running' ELSE status END,
    started_at = b.recorded_at, attempt = b.attempt, seq = greatest(sweep.seq, b.seq)
FROM (
    SELECT s.scope, s.sweep_id, e.recorded_at, e.seq, CAST(e.data->>'attempt' AS UINTEGER) AS attempt
    FROM batch e JOIN sweep s ON s.scope = e.scope AND s.sweep_id = e.data->>'sweep_id'
    WHERE e.type = 'sweep.started' AND e.seq > s.first_seq
    QUALIFY row_number() OVER (PARTITION BY s.scope, s.sweep_id ORDER BY e.seq DESC) = 1
) b
WHERE sweep.scope = b.scope AND sweep.sweep_id = b.sweep_id;

-- name: fold
UPDATE sweep
SET status = b.status, ended_at = b.recorded_at, seq = greatest(sweep.seq, b.seq),
    probed = CAST(b.data->>'probed' AS UINTEGER), seen = CAST(b.data->>'seen' AS UINTEGER),
    new = CAST(b.data->>'new' AS UINTEGER), changed = CAST(b.data->>'changed' AS UINTEGER),
    missed = CAST(b.data->>'missed' AS UINTEGER), impaired = CAST(b.data->'impaired' AS VARCHAR[]),
    duration_ms = CAST(b.data->>'duration_ms' AS DOUBLE), reason = b.data->>'reason',
    detail = b.data->>'detail'
FROM (
    SELECT s.scope, s.sweep_id, e.recorded_at, e.seq, e.data,
           CASE e.type WHEN 'sweep.finished' THEN 'finished' ELSE 'failed' END AS status
    FROM batch e JOIN sweep s ON s.scope = e.scope AND s.sweep_id = e.data->>'sweep_id'
    WHERE e.type IN ('sweep.finished', 'sweep.failed') AND e.seq > s.first_seq
      AND s.ended_at IS NULL
    QUALIFY row_number() OVER (PARTITION BY s.scope, s.sweep_id ORDER BY e.seq) = 1
) b
WHERE sweep.scope = b.scope AND sweep.sweep_id = b.sweep_id;
