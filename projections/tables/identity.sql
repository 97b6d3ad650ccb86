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

-- name: fold device.sighted
INSERT INTO identity BY NAME
SELECT scope, kind, value, device_id, min(seq) AS seq
FROM (
    SELECT scope, seq, device_id, unnest(json_transform(
               listed, '[{"kind":"VARCHAR","value":"VARCHAR"}]'), recursive := true)
    FROM (
        SELECT scope, device_id, data->'identities' AS listed, min(seq) AS seq -- of several
        -- of one: SELECT scope, device_id, data->'identities' AS listed, seq
        FROM batch WHERE type = 'device.sighted'
        GROUP BY ALL -- of several
    )
) c
ANTI JOIN identity USING (scope, kind, value, device_id)
GROUP BY ALL;
