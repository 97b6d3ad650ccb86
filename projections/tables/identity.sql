-- Everything by which a device was ever told from others, and which device claimed it.
-- folds: device.sighted

-- name: table
CREATE TABLE IF NOT EXISTS identity (
    scope     VARCHAR NOT NULL,
    kind      VARCHAR NOT NULL,     -- chassis, engine, serial, base_mac, mac, address: strongest first
    value     VARCHAR NOT NULL,
    device_id VARCHAR NOT NULL,
    seq       UBIGINT NOT NULL,     -- the last claim
    PRIMARY KEY (scope, kind, value, device_id)
);

-- name: fold
INSERT INTO identity BY NAME
SELECT scope, one->>'kind' AS kind, one->>'value' AS value, device_id, max(seq) AS seq
FROM (
    SELECT scope, seq, data->>'device_id' AS device_id, unnest(CAST(data->'identities' AS JSON[])) AS one
    FROM batch WHERE type = 'device.sighted'
)
GROUP BY ALL
ON CONFLICT DO UPDATE SET seq = excluded.seq;
