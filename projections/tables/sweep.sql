-- Sweeps: asked for, running, over.
-- key: scope, sweep_id
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
    seq           UBIGINT NOT NULL
);

-- name: fold sweep.requested
MERGE INTO sweep USING (
    SELECT scope, controller_id, data->>'sweep_id' AS sweep_id, recorded_at, seq, data
    FROM batch WHERE type = 'sweep.requested'
    QUALIFY row_number() OVER (PARTITION BY scope, data->>'sweep_id' ORDER BY seq) = 1
) b
ON sweep.scope = b.scope AND sweep.sweep_id = b.sweep_id
WHEN NOT MATCHED THEN
    INSERT (scope, sweep_id, controller_id, trigger_kind, status, prefixes, probes, requested_by,
            requested_at, attempt, first_seq, seq)
    VALUES (b.scope, b.sweep_id, b.controller_id, b.data->>'trigger', 'requested',
            b.data->>'$.prefixes[*]', b.data->>'$.probes[*]', b.data->>'requested_by',
            b.recorded_at, 0, b.seq, b.seq);

-- Only the controller that was asked speaks of a sweep; the first end counts.

-- name: fold sweep.started
UPDATE sweep
SET status = CASE WHEN ended_at IS NULL THEN 'running' ELSE status END,
    started_at = b.recorded_at, attempt = coalesce(b.attempt, sweep.attempt),
    seq = greatest(sweep.seq, b.seq)
FROM (
    SELECT s.scope, s.sweep_id, e.recorded_at, e.seq,
           TRY_CAST(e.data->>'attempt' AS UINTEGER) AS attempt
    FROM batch e JOIN sweep s ON s.scope = e.scope AND s.sweep_id = e.data->>'sweep_id'
                             AND s.controller_id = e.controller_id
    WHERE e.type = 'sweep.started' AND e.seq > s.first_seq
    QUALIFY row_number() OVER (PARTITION BY s.scope, s.sweep_id ORDER BY e.seq DESC) = 1
) b
WHERE sweep.scope = b.scope AND sweep.sweep_id = b.sweep_id;

-- name: fold sweep.finished, sweep.failed
UPDATE sweep
SET status = b.status, ended_at = b.recorded_at, seq = greatest(sweep.seq, b.seq),
    probed = TRY_CAST(b.data->>'probed' AS UINTEGER), seen = TRY_CAST(b.data->>'seen' AS UINTEGER),
    new = TRY_CAST(b.data->>'new' AS UINTEGER), changed = TRY_CAST(b.data->>'changed' AS UINTEGER),
    missed = TRY_CAST(b.data->>'missed' AS UINTEGER), impaired = json_transform(b.data->'impaired', '["VARCHAR"]'),
    duration_ms = TRY_CAST(b.data->>'duration_ms' AS DOUBLE), reason = b.data->>'reason',
    detail = b.data->>'detail'
FROM (
    SELECT s.scope, s.sweep_id, e.recorded_at, e.seq, e.data,
           CASE e.type WHEN 'sweep.finished' THEN 'finished' ELSE 'failed' END AS status
    FROM batch e JOIN sweep s ON s.scope = e.scope AND s.sweep_id = e.data->>'sweep_id'
                             AND s.controller_id = e.controller_id
    WHERE e.type IN ('sweep.finished', 'sweep.failed') AND e.seq > s.first_seq
      AND s.ended_at IS NULL
    QUALIFY row_number() OVER (PARTITION BY s.scope, s.sweep_id ORDER BY e.seq) = 1
) b
WHERE sweep.scope = b.scope AND sweep.sweep_id = b.sweep_id;
