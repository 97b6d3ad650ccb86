-- Which change has which device; a device that was ever taken keeps its row.
-- key: scope, device_id
-- folds: lock.taken, lock.released, lock.expired

-- name: table
CREATE TABLE IF NOT EXISTS lock (
    scope      VARCHAR NOT NULL,
    device_id  VARCHAR NOT NULL,
    held_by    VARCHAR,               -- the change; NULL: the device is free
    expires_at TIMESTAMP,
    taken_at   TIMESTAMP,
    seq        UBIGINT NOT NULL      -- of the event that took or freed it
);

-- name: fold lock.taken
MERGE INTO lock USING (
    SELECT DISTINCT scope, device_id FROM batch WHERE type = 'lock.taken'
) b
ON lock.scope = b.scope AND lock.device_id = b.device_id
WHEN NOT MATCHED THEN INSERT (scope, device_id, seq) VALUES (b.scope, b.device_id, 0);

-- One event after the other: who is free is taken, and only who holds it lets go.

-- name: fold lock.taken, lock.released, lock.expired
UPDATE lock
SET held_by = s.r.held_by, expires_at = s.r.expires_at, taken_at = s.r.taken_at, seq = s.r.seq
FROM (
    SELECT l.scope, l.device_id, list_reduce(said.words, lambda a, w: CASE
            WHEN w.type = 'lock.taken' AND a.held_by IS NULL THEN {
                'held_by': w.change_id, 'expires_at': w.expires_at, 'taken_at': w.at, 'seq': w.seq}
            WHEN w.type != 'lock.taken' AND a.held_by = w.change_id THEN {
                'held_by': NULL, 'expires_at': NULL, 'taken_at': NULL, 'seq': w.seq}
            ELSE a END,
        {'held_by': l.held_by, 'expires_at': l.expires_at, 'taken_at': l.taken_at, 'seq': l.seq}) AS r
    FROM lock l JOIN (
        SELECT scope, device_id, list({
                   'type': type, 'change_id': data->>'change_id', 'at': recorded_at, 'seq': seq,
                   'expires_at': TRY_CAST(data->>'expires_at' AS TIMESTAMP)} ORDER BY seq) AS words
        FROM batch WHERE type IN ('lock.taken', 'lock.released', 'lock.expired')
        GROUP BY scope, device_id
    ) said USING (scope, device_id)
) s
WHERE lock.scope = s.scope AND lock.device_id = s.device_id;
