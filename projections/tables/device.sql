-- Devices of a region, as they were sighted last; a merged record points to the one that lives on.
-- key: scope, device_id
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
    seq           UBIGINT NOT NULL
);

-- name: fold device.sighted (of one)
UPDATE device SET
    sys_name = CAST($data AS JSON)->>'sys_name', sys_descr = CAST($data AS JSON)->>'sys_descr',
    sys_object_id = CAST($data AS JSON)->>'sys_object_id',
    sys_location = CAST($data AS JSON)->>'sys_location',
    sys_contact = CAST($data AS JSON)->>'sys_contact', serial = CAST($data AS JSON)->>'serial',
    vendor = CAST($data AS JSON)->>'vendor', credential = CAST($data AS JSON)->>'credential',
    seen_by = CAST($data AS JSON)->>'$.seen_by[*]',
    addresses = CAST($data AS JSON)->>'$.addresses[*].address',
    sighted_at = CAST($recorded_at AS TIMESTAMP), seq = CAST($seq AS UBIGINT)
WHERE scope = $scope AND device_id = $device_id;

-- name: fold device.sighted (of one, where nothing changed)
INSERT INTO device BY NAME
SELECT $scope AS scope, $device_id AS device_id, $controller_id AS controller_id,
       'active' AS presence, false AS quarantined, false AS split,
       data->>'sys_name' AS sys_name, data->>'sys_descr' AS sys_descr,
       data->>'sys_object_id' AS sys_object_id, data->>'sys_location' AS sys_location,
       data->>'sys_contact' AS sys_contact, data->>'serial' AS serial, data->>'vendor' AS vendor,
       data->>'credential' AS credential, data->>'$.seen_by[*]' AS seen_by,
       data->>'$.addresses[*].address' AS addresses, recorded_at AS first_seen_at,
       recorded_at AS sighted_at, seq AS first_seq, seq
FROM (SELECT CAST($data AS JSON) AS data, CAST($recorded_at AS TIMESTAMP) AS recorded_at,
             CAST($seq AS UBIGINT) AS seq);

-- MATERIALIZED: joined before the table is, whatever DuckDB guesses of its size.

-- name: fold device.sighted (of several)
MERGE INTO device USING (
    WITH last AS MATERIALIZED (
        SELECT batch.*, owner, first_at, first_seq
        FROM batch JOIN (
            SELECT max(seq) AS seq, arg_min(controller_id, seq) AS owner,
                   arg_min(recorded_at, seq) AS first_at, min(seq) AS first_seq
            FROM batch WHERE type = 'device.sighted' GROUP BY scope, device_id
        ) USING (seq)
    )
    SELECT scope, device_id, recorded_at, seq, s.sys_name, s.sys_descr, s.sys_object_id,
           s.sys_location, s.sys_contact, s.serial, s.vendor, s.credential, s.seen_by,
           list_transform(s.addresses, lambda one: one.address) AS addresses,
           owner AS controller_id, first_at, first_seq
    FROM (
        SELECT *, json_transform(data, '{
                      "sys_name": "VARCHAR", "sys_descr": "VARCHAR", "sys_object_id": "VARCHAR",
                      "sys_location": "VARCHAR", "sys_contact": "VARCHAR", "serial": "VARCHAR",
                      "vendor": "VARCHAR", "credential": "VARCHAR", "seen_by": ["VARCHAR"],
                      "addresses": [{"address": "VARCHAR"}]}') AS s
        FROM last
    )
) b
ON device.scope = b.scope AND device.device_id = b.device_id
WHEN MATCHED THEN UPDATE SET
    sys_name = b.sys_name, sys_descr = b.sys_descr, sys_object_id = b.sys_object_id,
    sys_location = b.sys_location, sys_contact = b.sys_contact, serial = b.serial,
    vendor = b.vendor, credential = b.credential, seen_by = b.seen_by, addresses = b.addresses,
    sighted_at = b.recorded_at, seq = b.seq
WHEN NOT MATCHED THEN
    INSERT (scope, device_id, controller_id, presence, quarantined, split, sys_name, sys_descr,
            sys_object_id, sys_location, sys_contact, serial, vendor, credential, seen_by,
            addresses, first_seen_at, sighted_at, first_seq, seq)
    VALUES (b.scope, b.device_id, b.controller_id, 'active', false, false, b.sys_name, b.sys_descr,
            b.sys_object_id, b.sys_location, b.sys_contact, b.serial, b.vendor, b.credential,
            b.seen_by, b.addresses, b.first_at, b.recorded_at, b.first_seq, b.seq);

-- The rest concerns a device only after its first sighting.

-- name: fold device.reassigned
UPDATE device SET controller_id = b.controller_id, seq = greatest(device.seq, b.seq)
FROM (
    SELECT d.scope, d.device_id, e.data->>'to_controller_id' AS controller_id, e.seq
    FROM batch e JOIN device d USING (scope, device_id)
    WHERE e.type = 'device.reassigned' AND e.seq > d.first_seq
    QUALIFY row_number() OVER (PARTITION BY d.scope, d.device_id ORDER BY e.seq DESC) = 1
) b
WHERE device.scope = b.scope AND device.device_id = b.device_id;

-- name: fold device.lost, device.returned
UPDATE device SET presence = b.presence, seq = greatest(device.seq, b.seq)
FROM (
    SELECT d.scope, d.device_id, e.seq,
           CASE e.type WHEN 'device.lost' THEN 'inactive' ELSE 'active' END AS presence
    FROM batch e JOIN device d USING (scope, device_id)
    WHERE e.type IN ('device.lost', 'device.returned') AND e.seq > d.first_seq
    QUALIFY row_number() OVER (PARTITION BY d.scope, d.device_id ORDER BY e.seq DESC) = 1
) b
WHERE device.scope = b.scope AND device.device_id = b.device_id;

-- name: fold device.quarantined, device.released
UPDATE device SET quarantined = b.quarantined, seq = greatest(device.seq, b.seq)
FROM (
    SELECT d.scope, d.device_id, e.seq, e.type = 'device.quarantined' AS quarantined
    FROM batch e JOIN device d USING (scope, device_id)
    WHERE e.type IN ('device.quarantined', 'device.released') AND e.seq > d.first_seq
    QUALIFY row_number() OVER (PARTITION BY d.scope, d.device_id ORDER BY e.seq DESC) = 1
) b
WHERE device.scope = b.scope AND device.device_id = b.device_id;

-- name: fold device.merged, device.split
UPDATE device
SET merged_into = b.into_id, split = device.split OR b.split, seq = greatest(device.seq, b.seq)
FROM (
    SELECT d.scope, d.device_id, max(e.seq) AS seq, bool_or(e.type = 'device.split') AS split,
           nullif(arg_max(coalesce(e.data->>'into', ''), e.seq), '') AS into_id
    FROM batch e JOIN device d USING (scope, device_id)
    WHERE e.type IN ('device.merged', 'device.split') AND e.seq > d.first_seq
    GROUP BY d.scope, d.device_id
) b
WHERE device.scope = b.scope AND device.device_id = b.device_id;
