-- Devices whose rollback failed; automation keeps off while `cleared_at` is NULL.
-- key: scope, device_id
-- folds: device.degraded, device.cleared

-- name: table
CREATE TABLE IF NOT EXISTS degradation (
    scope       VARCHAR NOT NULL,
    device_id   VARCHAR NOT NULL,
    change_id   VARCHAR NOT NULL,     -- of the last time
    detail      VARCHAR NOT NULL,
    degraded_at TIMESTAMP NOT NULL,
    cleared_at  TIMESTAMP,
    reason      VARCHAR,              -- why it was cleared
    first_seq   UBIGINT NOT NULL,
    seq         UBIGINT NOT NULL
);

-- name: fold device.degraded
MERGE INTO degradation USING (
    SELECT scope, device_id, max(seq) AS seq, min(seq) AS first_seq,
           arg_max(recorded_at, seq) AS recorded_at, arg_max(data, seq) AS data
    FROM batch WHERE type = 'device.degraded' GROUP BY scope, device_id
) b
ON degradation.scope = b.scope AND degradation.device_id = b.device_id
WHEN MATCHED THEN UPDATE SET
    change_id = b.data->>'change_id', detail = b.data->>'detail', degraded_at = b.recorded_at,
    cleared_at = NULL, reason = NULL, seq = b.seq
WHEN NOT MATCHED THEN
    INSERT (scope, device_id, change_id, detail, degraded_at, first_seq, seq)
    VALUES (b.scope, b.device_id, b.data->>'change_id', b.data->>'detail', b.recorded_at,
            b.first_seq, b.seq);

-- The first word after a device was degraded clears it.

-- name: fold device.cleared
UPDATE degradation SET cleared_at = b.recorded_at, reason = b.reason, seq = b.seq
FROM (
    SELECT d.scope, d.device_id, e.recorded_at, e.data->>'reason' AS reason, e.seq
    FROM batch e JOIN degradation d USING (scope, device_id)
    WHERE e.type = 'device.cleared' AND e.seq > d.seq AND d.cleared_at IS NULL
    QUALIFY row_number() OVER (PARTITION BY d.scope, d.device_id ORDER BY e.seq) = 1
) b
WHERE degradation.scope = b.scope AND degradation.device_id = b.device_id;
