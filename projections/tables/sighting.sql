-- What each local controller last saw of each device: the ground for its next comparison, and presence.
-- key: scope, controller_id, device_id
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
    seq           UBIGINT NOT NULL
);

-- name: fold device.sighted (of one)
UPDATE sighting
SET data = CAST($data AS JSON), seen_at = CAST($recorded_at AS TIMESTAMP),
    seen_seq = CAST($seq AS UBIGINT), missed = 0, missed_seq = NULL, seq = CAST($seq AS UBIGINT)
WHERE scope = $scope AND controller_id = $controller_id AND device_id = $device_id;

-- name: fold device.sighted (of one, where nothing changed)
INSERT INTO sighting BY NAME
SELECT $scope AS scope, $controller_id AS controller_id, $device_id AS device_id,
       CAST($data AS JSON) AS data, CAST($recorded_at AS TIMESTAMP) AS seen_at,
       CAST($seq AS UBIGINT) AS seen_seq, 0 AS missed, CAST($seq AS UBIGINT) AS first_seq,
       CAST($seq AS UBIGINT) AS seq;

-- Of several, the row is written anew and the one before deleted: where many change, DuckDB takes
-- seconds to write long texts over in place.

-- name: fold device.sighted (of several)
INSERT INTO sighting BY NAME
SELECT b.scope, b.controller_id, b.device_id, b.data, b.recorded_at AS seen_at, b.seq AS seen_seq,
       0 AS missed, coalesce(s.first_seq, b.first_seq) AS first_seq, b.seq
FROM (
    SELECT *, min(seq) OVER (PARTITION BY scope, controller_id, device_id) AS first_seq
    FROM batch WHERE type = 'device.sighted'
    QUALIFY row_number() OVER (
        PARTITION BY scope, controller_id, device_id ORDER BY seq DESC) = 1
) b
LEFT JOIN sighting s USING (scope, controller_id, device_id);

-- name: fold device.sighted (of several)
DELETE FROM sighting USING (
    SELECT scope, controller_id, device_id, max(seq) AS seq
    FROM batch WHERE type = 'device.sighted' GROUP BY ALL
) b
WHERE sighting.scope = b.scope AND sighting.controller_id = b.controller_id
  AND sighting.device_id = b.device_id AND sighting.seq < b.seq;

-- What was covered counts from the last sighting on: one before it, in this batch, is outdated.

-- name: fold sweep.covered
UPDATE sighting
SET seen_seq   = coalesce(b.seen_seq, sighting.seen_seq),
    seen_at    = coalesce(b.seen_at, sighting.seen_at),
    missed     = CASE WHEN b.seen_seq IS NULL THEN sighting.missed + b.missed ELSE b.missed END,
    missed_seq = CASE WHEN b.seen_seq IS NULL THEN coalesce(sighting.missed_seq, b.missed_seq)
                      ELSE b.missed_seq END,
    seq        = b.seq
FROM (
    WITH mark AS (
        SELECT scope, controller_id, seq, recorded_at, true AS seen,
               unnest(json_transform(data->'seen', '["VARCHAR"]')) AS device_id
        FROM batch WHERE type = 'sweep.covered'
        UNION ALL
        SELECT scope, controller_id, seq, recorded_at, false,
               unnest(json_transform(data->'missed', '["VARCHAR"]'))
        FROM batch WHERE type = 'sweep.covered'
    ), after_sighting AS (
        SELECT m.*, max(m.seq) FILTER (m.seen)
                        OVER (PARTITION BY m.scope, m.controller_id, m.device_id) AS last_seen
        FROM mark m JOIN sighting s USING (scope, controller_id, device_id)
        WHERE m.seq > s.seen_seq
    )
    SELECT scope, controller_id, device_id, max(last_seen) AS seen_seq, max(seq) AS seq,
           arg_max(recorded_at, seq) FILTER (seen) AS seen_at,
           count(DISTINCT seq) FILTER (NOT seen AND seq > coalesce(last_seen, 0)) AS missed,
           min(seq) FILTER (NOT seen AND seq > coalesce(last_seen, 0)) AS missed_seq
    FROM after_sighting GROUP BY scope, controller_id, device_id
) b
WHERE sighting.scope = b.scope AND sighting.controller_id = b.controller_id
  AND sighting.device_id = b.device_id;
