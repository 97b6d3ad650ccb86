-- Which device answers at which address, as its controllers last saw it.
-- folds: device.sighted

-- name: table
CREATE TABLE IF NOT EXISTS address (
    scope         VARCHAR NOT NULL,
    address       VARCHAR NOT NULL,
    device_id     VARCHAR NOT NULL,
    mac           VARCHAR,              -- aa:bb:cc:dd:ee:ff
    controller_id VARCHAR NOT NULL,
    sighted_at    TIMESTAMP NOT NULL,
    seq           UBIGINT NOT NULL,
    PRIMARY KEY (scope, address)
);

-- The last sighting of an address wins; it is gone when the same controller sees the same device without it.

-- name: fold
CREATE OR REPLACE TEMP TABLE listed AS
SELECT s.*, one->>'address' AS address, one->>'mac' AS mac
FROM (
    SELECT scope, seq, recorded_at, data->>'controller_id' AS controller_id,
           data->>'device_id' AS device_id, CAST(data->'addresses' AS JSON[]) AS addresses,
           max(seq) OVER (
               PARTITION BY scope, data->>'controller_id', data->>'device_id') AS last_seq
    FROM batch WHERE type = 'device.sighted'
) s, unnest(CASE WHEN len(s.addresses) = 0 THEN [NULL] ELSE s.addresses END) AS u(one);

-- name: fold
DELETE FROM address USING listed l
WHERE address.scope = l.scope AND (
    address.address = l.address
    OR (address.controller_id = l.controller_id AND address.device_id = l.device_id));

-- name: fold
INSERT INTO address BY NAME
SELECT scope, address, device_id, mac, controller_id, recorded_at AS sighted_at, seq
FROM (
    SELECT scope, address, device_id, mac, controller_id, recorded_at, seq, last_seq
    FROM listed WHERE address IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY scope, address ORDER BY seq DESC) = 1
) WHERE seq = last_seq;

-- name: fold
DROP TABLE listed;
