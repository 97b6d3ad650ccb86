-- Which device answers at which address, as its controllers last saw it.
-- key: scope, address
-- folds: device.sighted

-- name: table
CREATE TABLE IF NOT EXISTS address (
    scope         VARCHAR NOT NULL,
    address       VARCHAR NOT NULL,
    device_id     VARCHAR NOT NULL,
    mac           VARCHAR,              -- aa:bb:cc:dd:ee:ff
    controller_id VARCHAR NOT NULL,
    sighted_at    TIMESTAMP NOT NULL,
    seq           UBIGINT NOT NULL
);

-- The last sighting of an address wins; it is gone when the same controller sees the same device
-- without it.

-- name: fold device.sighted (of one)
DELETE FROM address
WHERE scope = $scope
  AND ((controller_id = $controller_id AND device_id = $device_id)
       OR list_contains(CAST($data AS JSON)->>'$.addresses[*].address', address));

-- name: fold device.sighted (of one)
INSERT INTO address BY NAME
SELECT $scope AS scope, one.address, $device_id AS device_id, one.mac,
       $controller_id AS controller_id, CAST($recorded_at AS TIMESTAMP) AS sighted_at,
       CAST($seq AS UBIGINT) AS seq
FROM (
    SELECT unnest(list_filter(listed, lambda one, place: NOT list_contains(
               list_transform(listed[place + 1:], lambda later: later.address), one.address))) AS one
    FROM (SELECT json_transform(CAST($data AS JSON)->'addresses',
                                '[{"address":"VARCHAR","mac":"VARCHAR"}]') AS listed)
);

-- name: fold device.sighted (of several)
DELETE FROM address USING batch b
WHERE b.type = 'device.sighted' AND address.scope = b.scope
  AND address.controller_id = b.controller_id AND address.device_id = b.device_id;

-- name: fold device.sighted (of several)
MERGE INTO address USING (
    WITH sighted AS (
        SELECT scope, controller_id, device_id, recorded_at, seq,
               seq = max(seq) OVER (PARTITION BY scope, controller_id, device_id) AS stands,
               json_transform(data->'addresses', '[{"address":"VARCHAR","mac":"VARCHAR"}]') AS listed
        FROM batch WHERE type = 'device.sighted'
    ), claim AS (
        SELECT * EXCLUDE (listed), unnest(listed, recursive := true),
               generate_subscripts(listed, 1) AS place
        FROM sighted
    )
    SELECT * FROM claim
    QUALIFY row_number() OVER (PARTITION BY scope, address ORDER BY seq DESC, place DESC) = 1
) c
ON address.scope = c.scope AND address.address = c.address
WHEN MATCHED AND NOT c.stands THEN DELETE
WHEN MATCHED THEN UPDATE SET
    device_id = c.device_id, mac = c.mac, controller_id = c.controller_id,
    sighted_at = c.recorded_at, seq = c.seq
WHEN NOT MATCHED AND c.stands THEN
    INSERT (scope, address, device_id, mac, controller_id, sighted_at, seq)
    VALUES (c.scope, c.address, c.device_id, c.mac, c.controller_id, c.recorded_at, c.seq);
