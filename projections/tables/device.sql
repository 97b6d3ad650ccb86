-- Devices of a region, as they were sighted last; a merged record points to the one that lives on.
-- folds: device.sighted, device.reassigned, device.merged, device.split, device.lost, device.returned,
--        device.quarantined, device.released

-- name: table
CREATE TABLE IF NOT EXISTS device (
    scope         VARCHAR NOT NULL,
    device_id     VARCHAR NOT NULL,
    controller_id VARCHAR NOT NULL,     -- who owns it: the first to see it, or since device.reassigned
    presence      VARCHAR NOT NULL,     -- active, inactive
    quarantined   BOOLEAN NOT NULL,
    merged_into   VARCHAR,              -- another device_id, NULL while the record stands for itself
    split         BOOLEAN NOT NULL,     -- a merge was undone: not merged by itself again
    sys_name      VARCHAR,
    sys_descr     VARCHAR,
    sys_object_id VARCHAR,
    sys_location  VARCHAR,
    sys_contact   VARCHAR,
    serial        VARCHAR,
    vendor        VARCHAR,
    credential    VARCHAR,              -- the name of the credential that works
    seen_by       VARCHAR[] NOT NULL,   -- probes
    addresses     VARCHAR[] NOT NULL,
    first_seen_at TIMESTAMP NOT NULL,
    sighted_at    TIMESTAMP NOT NULL,   -- when it last was new or different; see sighting.seen_at
    first_seq     UBIGINT NOT NULL,
    seq           UBIGINT NOT NULL,
    PRIMARY KEY (scope, device_id)
);

-- name: fold
INSERT INTO device BY NAME
SELECT scope, data->>'device_id' AS device_id, data->>'controller_id' AS controller_id,
       'active' AS presence, false AS quarantined, false AS split,
       [] AS seen_by, [] AS addresses,
       recorded_at AS first_seen_at, recorded_at AS sighted_at, seq AS first_seq, seq
FROM batch WHERE type = 'device.sighted'
QUALIFY row_number() OVER (PARTITION BY scope, data->>'device_id' ORDER BY seq) = 1
ON CONFLICT DO NOTHING;

-- name: fold
UPDATE device
SET sys_name = b.data->>'sys_name', sys_descr = b.data->>'sys_descr',
    sys_object_id = b.data->>'sys_object_id', sys_location = b.data->>'sys_location',
    sys_contact = b.data->>'sys_contact', serial = b.data->>'serial', vendor = b.data->>'vendor',
    credential = b.data->>'credential', seen_by = CAST(b.data->'seen_by' AS VARCHAR[]),
    addresses = b.data->>'$.addresses[*].address',
    sighted_at = b.recorded_at, seq = greatest(device.seq, b.seq)
FROM (
    SELECT scope, seq, recorded_at, data FROM batch WHERE type = 'device.sighted'
    QUALIFY row_number() OVER (PARTITION BY scope, data->>'device_id' ORDER BY seq DESC) = 1
) b
WHERE device.scope = b.scope AND device.device_id = b.data->>'device_id';

-- name: fold
UPDATE device SET controller_id = b.controller_id, seq = greatest(device.seq, b.seq)
FROM (
    SELECT d.scope, d.device_id, e.data->>'to_controller_id' AS controller_id, e.seq
    FROM batch e JOIN device d ON d.scope = e.scope AND d.device_id = e.data->>'device_id'
    WHERE e.type = 'device.reassigned' AND e.seq > d.first_seq
    QUALIFY row_number() OVER (PARTITION BY d.scope, d.device_id ORDER BY e.seq DESC) = 1
) b
WHERE device.scope = b.scope AND device.device_id = b.device_id;

-- name: fold
UPDATE device SET presence = b.presence, seq = greatest(device.seq, b.seq)
FROM (
    SELECT d.scope, d.device_id, e.seq,
           CASE e.type WHEN 'device.lost' THEN 'inactive' ELSE 'active' END AS presence
    FROM batch e JOIN device d ON d.scope = e.scope AND d.device_id = e.data->>'device_id'
    WHERE e.type IN ('device.lost', 'device.returned') AND e.seq > d.first_seq
    QUALIFY row_number() OVER (PARTITION BY d.scope, d.device_id ORDER BY e.seq DESC) = 1
) b
WHERE device.scope = b.scope AND device.device_id = b.device_id;

-- name: fold
UPDATE device SET quarantined = b.quarantined, seq = greatest(device.seq, b.seq)
FROM (
    SELECT d.scope, d.device_id, e.seq, e.type = 'device.quarantined' AS quarantined
    FROM batch e JOIN device d ON d.scope = e.scope AND d.device_id = e.data->>'device_id'
    WHERE e.type IN ('device.quarantined', 'device.released') AND e.seq > d.first_seq
    QUALIFY row_number() OVER (PARTITION BY d.scope, d.device_id ORDER BY e.seq DESC) = 1
) b
WHERE device.scope = b.scope AND device.device_id = b.device_id;

-- name: fold
UPDATE device
SET merged_into = b.into_id, split = device.split OR b.split, seq = greatest(device.seq, b.seq)
FROM (
    SELECT d.scope, d.device_id, max(e.seq) AS seq, bool_or(e.type = 'device.split') AS split,
           arg_max(coalesce(e.data->>'into', ''), e.seq) AS last_into,
           CASE WHEN last_into = '' THEN NULL ELSE last_into END AS into_id
    FROM batch e JOIN device d ON d.scope = e.scope AND d.device_id = e.data->>'device_id'
    WHERE e.type IN ('device.merged', 'device.split') AND e.seq > d.first_seq
    GROUP BY d.scope, d.device_id
) b
WHERE device.scope = b.scope AND device.device_id = b.device_id;
