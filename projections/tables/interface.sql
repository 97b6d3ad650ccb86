-- Interfaces of devices (IF-MIB), as they were last reported.
-- folds: interface.sighted

-- name: table
CREATE TABLE IF NOT EXISTS interface (
    scope         VARCHAR NOT NULL,
    device_id     VARCHAR NOT NULL,
    ifindex       INTEGER NOT NULL,
    ifname        VARCHAR,
    if_descr      VARCHAR,
    if_alias      VARCHAR,
    if_type       INTEGER,
    mtu           BIGINT,
    speed_bps     BIGINT,
    mac           VARCHAR,
    admin_status  VARCHAR,
    oper_status   VARCHAR,
    controller_id VARCHAR NOT NULL,
    sighted_at    TIMESTAMP NOT NULL,
    seq           UBIGINT NOT NULL,
    PRIMARY KEY (scope, device_id, ifindex)
);

-- name: fold
CREATE OR REPLACE TEMP TABLE reported AS
SELECT scope, device_id, ifindex, controller_id, recorded_at, seq, one FROM (
    SELECT scope, seq, recorded_at, data->>'controller_id' AS controller_id,
           data->>'device_id' AS device_id, one, CAST(one->>'ifindex' AS INTEGER) AS ifindex
    FROM batch, unnest(CAST(data->'interfaces' AS JSON[])) AS u(one) WHERE type = 'interface.sighted'
    UNION ALL
    SELECT scope, seq, recorded_at, data->>'controller_id', data->>'device_id', NULL, ifindex
    FROM batch, unnest(CAST(data->'gone' AS INTEGER[])) AS u(ifindex) WHERE type = 'interface.sighted'
)
QUALIFY row_number() OVER (
    PARTITION BY scope, device_id, ifindex ORDER BY seq DESC, one IS NULL) = 1;

-- name: fold
DELETE FROM interface USING reported r
WHERE interface.scope = r.scope AND interface.device_id = r.device_id
  AND interface.ifindex = r.ifindex;

-- name: fold
INSERT INTO interface BY NAME
SELECT scope, device_id, ifindex, one->>'ifname' AS ifname, one->>'if_descr' AS if_descr,
       one->>'if_alias' AS if_alias, CAST(one->>'if_type' AS INTEGER) AS if_type,
       CAST(one->>'mtu' AS BIGINT) AS mtu, CAST(one->>'speed_bps' AS BIGINT) AS speed_bps,
       one->>'mac' AS mac, one->>'admin_status' AS admin_status, one->>'oper_status' AS oper_status,
       controller_id, recorded_at AS sighted_at, seq
FROM reported WHERE one IS NOT NULL;

-- name: fold
DROP TABLE reported;
