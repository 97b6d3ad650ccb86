-- Everything by which a device was ever told from others, and which device claimed it.
-- key: scope, kind, value, device_id
-- folds: device.sighted

-- name: table
CREATE TABLE IF NOT EXISTS identity (
    scope     VARCHAR NOT NULL,
    kind      VARCHAR NOT NULL,     -- chassis, engine, serial, base_mac, mac, address: strongest first
    value     VARCHAR NOT NULL,
    device_id VARCHAR NOT NULL,
    seq       UBIGINT NOT NULL     -- the last claim
);

-- name: fold device.sighted
MERGE INTO identity USING (
    SELECT DISTINCT ON (scope, kind, value, device_id) * FROM (
        SELECT scope, seq, device_id, unnest(json_transform(
                   listed, '[{"kind":"VARCHAR","value":"VARCHAR"}]'), recursive := true)
        FROM (
            SELECT scope, device_id, data->'identities' AS listed, max(seq) AS seq -- of several
            -- of one: SELECT scope, device_id, data->'identities' AS listed, seq
            FROM batch WHERE type = 'device.sighted'
            GROUP BY ALL -- of several
        )
    )
    ORDER BY seq DESC -- of several
) c
ON identity.scope = c.scope AND identity.kind = c.kind AND identity.value = c.value
   AND identity.device_id = c.device_id
WHEN MATCHED THEN UPDATE SET seq = c.seq
WHEN NOT MATCHED THEN INSERT (scope, kind, value, device_id, seq)
    VALUES (c.scope, c.kind, c.value, c.device_id, c.seq);
