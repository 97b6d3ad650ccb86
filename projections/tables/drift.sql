-- Running configs that no governed change explains, since when.
-- key: scope, device_id, found_hash
-- folds: device.drifted

-- name: table
CREATE TABLE IF NOT EXISTS drift (
    scope         VARCHAR NOT NULL,
    device_id     VARCHAR NOT NULL,
    found_hash    VARCHAR NOT NULL,
    expected_hash VARCHAR NOT NULL,     -- what the last governed change left
    change_id     VARCHAR,              -- that change
    controller_id VARCHAR NOT NULL,     -- who read it last
    times         UBIGINT NOT NULL,
    first_seen_at TIMESTAMP NOT NULL,
    last_seen_at  TIMESTAMP NOT NULL,
    first_seq     UBIGINT NOT NULL,
    seq           UBIGINT NOT NULL
);

-- name: fold device.drifted
MERGE INTO drift USING (
    SELECT scope, device_id, data->>'found_hash' AS found_hash, count(*) AS times,
           min(seq) AS first_seq, arg_min(recorded_at, seq) AS first_at, max(seq) AS seq,
           arg_max(recorded_at, seq) AS last_at, arg_max(data, seq) AS data,
           arg_max(controller_id, seq) AS controller_id
    FROM batch WHERE type = 'device.drifted' GROUP BY ALL
) b
ON drift.scope = b.scope AND drift.device_id = b.device_id AND drift.found_hash = b.found_hash
WHEN MATCHED THEN UPDATE SET
    expected_hash = b.data->>'expected_hash', change_id = b.data->>'change_id',
    controller_id = b.controller_id, times = drift.times + b.times, last_seen_at = b.last_at,
    seq = b.seq
WHEN NOT MATCHED THEN
    INSERT (scope, device_id, found_hash, expected_hash, change_id, controller_id, times,
            first_seen_at, last_seen_at, first_seq, seq)
    VALUES (b.scope, b.device_id, b.found_hash, b.data->>'expected_hash', b.data->>'change_id',
            b.controller_id, b.times, b.first_at, b.last_at, b.first_seq, b.seq);
