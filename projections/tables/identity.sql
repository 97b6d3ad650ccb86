-- Everything by which a device was ever told from others, and which device claimed it.
-- key: scope, kind, value, device_id
-- folds: device.sighted

-- name: table
CREATE TABLE IF NOT EXISTS identity (
    scope     VARCHAR NOT NULL,
    kind      VARCHAR NOT NULL,     -- chassis, engine, serial, base_mac, mac, address: strongest first
    value     VARCHAR NOT NULL,
    device_id VARCHAR NOT NULL,
    seq       UBIGINT NOT NULL     -- the first claim
);

-- name: fold device.sighted (of one)
INSERT INTO identity BY NAME
SELECT $scope AS scope, one.kind, one.value, $device_id AS device_id, CAST($seq AS UBIGINT) AS seq
FROM (
    SELECT unnest(list_filter(list_distinct(listed), lambda one: NOT list_contains(known, one))) AS one
    FROM (
        SELECT json_transform(CAST($data AS JSON)->'identities',
                              '[{"kind":"VARCHAR","value":"VARCHAR"}]') AS listed,
               coalesce(list({'kind': kind, 'value': value}), []) AS known
        FROM identity WHERE scope = $scope AND device_id = $device_id
    )
);

-- name: fold device.sighted (of several)
INSERT INTO identity BY NAME
SELECT scope, kind, value, device_id, min(seq) AS seq
FROM (
    SELECT scope, seq, device_id, unnest(json_transform(
               listed, '[{"kind":"VARCHAR","value":"VARCHAR"}]'), recursive := true)
    FROM (
        SELECT scope, device_id, data->'identities' AS listed, min(seq) AS seq
        FROM batch WHERE type = 'device.sighted'
        GROUP BY ALL
    )
) c
ANTI JOIN identity USING (scope, kind, value, device_id)
GROUP BY ALL;
