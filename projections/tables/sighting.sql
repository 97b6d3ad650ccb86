-- What each local controller last saw of each device: the ground for its next comparison, and presence.
-- folds: device.sighted, sweep.covered

-- name: table
CREATE TABLE IF NOT EXISTS sighting (
    scope         VARCHAR NOT NULL,
    controller_id VARCHAR NOT NULL,
    device_id     VARCHAR NOT NULL,
    data          JSON NOT NULL,        -- the data of the last device.sighted
    seen_at       TIMESTAMP NOT NULL,   -- the last time it was seen, different or not
    seen_seq      UBIGINT NOT NULL,
    missed        UINTEGER NOT NULL,    -- sweeps in a row that covered it and did not see it
    missed_seq    UBIGINT,              -- the first of them
    first_seq     UBIGINT NOT NULL,
    seq           UBIGINT NOT NULL,
    PRIMARY KEY (scope, controller_id, device_id)
);

-- name: fold
INSERT INTO sighting BY NAME
SELECT scope, data->>'controller_id' AS controller_id, data->>'device_id' AS device_id, data,
       recorded_at AS seen_at, seq AS seen_seq, 0 AS missed, seq AS first_seq, seq
FROM batch WHERE type = 'device.sighted'
QUALIFY row_number() OVER (
    PARTITION BY scope, data->>'controller_id', data->>'device_id' ORDER BY seq) = 1
ON CONFLICT DO NOTHING;

-- name: fold
UPDATE sighting SET data = b.data, seq = greatest(sighting.seq, b.seq)
FROM (
    SELECT scope, seq, data FROM batch WHERE type = 'device.sighted'
    QUALIFY row_number() OVER (
        PARTITION BY scope, data->>'controller_id', data->>'device_id' ORDER BY seq DESC) = 1
) b
WHERE sighting.scope = b.scope AND sighting.controller_id = b.data->>'controller_id'
  AND sighting.device_id = b.data->>'device_id';

-- name: fold
UPDATE sighting
SET seen_seq   = coalesce(b.seen_seq, sighting.seen_seq),
    seen_at    = coalesce(b.seen_at, sighting.seen_at),
    missed     = CASE WHEN b.seen_seq IS NULL THEN sighting.missed + b.missed ELSE b.missed END,
    missed_seq = CASE WHEN b.seen_seq IS NULL THEN coalesce(sighting.missed_seq, b.missed_seq)
                      ELSE b.missed_seq END,
    seq        = greatest(sighting.seq, b.seq)
FROM (
    WITH mark AS (
        SELECT scope, seq, recorded_at, data->>'controller_id' AS controller_id,
               data->>'device_id' AS device_id, true AS seen
        FROM batch WHERE type = 'device.sighted'
        UNION ALL
        SELECT scope, seq, recorded_at, data->>'controller_id', unnest(CAST(data->'seen' AS VARCHAR[])), true
        FROM batch WHERE type = 'sweep.covered'
        UNION ALL
        SELECT scope, seq, recorded_at, data->>'controller_id', unnest(CAST(data->'missed' AS VARCHAR[])), false
        FROM batch WHERE type = 'sweep.covered'
    ), after_birth AS (
        SELECT m.*, max(m.seq) FILTER (m.seen)
                        OVER (PARTITION BY m.scope, m.controller_id, m.device_id) AS last_seen
        FROM mark m
        JOIN sighting s ON s.scope = m.scope AND s.controller_id = m.controller_id
                       AND s.device_id = m.device_id AND m.seq >= s.first_seq
    )
    SELECT scope, controller_id, device_id, max(last_seen) AS seen_seq, max(seq) AS seq,
           max(recorded_at) FILTER (seen) AS seen_at,
           count(*) FILTER (NOT seen AND seq > coalesce(last_seen, 0)) AS missed,
           min(seq) FILTER (NOT seen AND seq > coalesce(last_seen, 0)) AS missed_seq
    FROM after_birth GROUP BY scope, controller_id, device_id
) b
WHERE sighting.scope = b.scope AND sighting.controller_id = b.controller_id
  AND sighting.device_id = b.device_id;
