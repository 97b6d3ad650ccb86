-- Interfaces of devices (IF-MIB), as they were last reported.
-- key: scope, device_id, ifindex
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
    seq           UBIGINT NOT NULL
);

-- name: fold interface.sighted
MERGE INTO interface USING (
    WITH sighted AS (
        SELECT scope, device_id, controller_id, recorded_at, seq, data,
               json_transform(data->'interfaces', '[{
                   "ifindex": "INTEGER", "ifname": "VARCHAR", "if_descr": "VARCHAR",
                   "if_alias": "VARCHAR", "if_type": "INTEGER", "mtu": "BIGINT",
                   "speed_bps": "BIGINT", "mac": "VARCHAR", "admin_status": "VARCHAR",
                   "oper_status": "VARCHAR"}]') AS listed
        FROM batch WHERE type = 'interface.sighted'
    ), report AS (
        SELECT * EXCLUDE (data, listed), false AS gone, unnest(listed, recursive := true),
               generate_subscripts(listed, 1) AS place
        FROM sighted
        UNION ALL BY NAME
        SELECT * EXCLUDE (data, listed), true AS gone,
               unnest(json_transform(data->'gone', '["INTEGER"]')) AS ifindex, 0 AS place
        FROM sighted
    )
    SELECT * FROM report WHERE ifindex IS NOT NULL
    QUALIFY row_number() OVER (
        PARTITION BY scope, device_id, ifindex ORDER BY seq DESC, place DESC) = 1
) r
ON interface.scope = r.scope AND interface.device_id = r.device_id
   AND interface.ifindex = r.ifindex
WHEN MATCHED AND r.gone THEN DELETE
WHEN MATCHED THEN UPDATE SET
    ifname = r.ifname, if_descr = r.if_descr, if_alias = r.if_alias, if_type = r.if_type,
    mtu = r.mtu, speed_bps = r.speed_bps, mac = r.mac, admin_status = r.admin_status,
    oper_status = r.oper_status, controller_id = r.controller_id, sighted_at = r.recorded_at,
    seq = r.seq
WHEN NOT MATCHED AND NOT r.gone THEN
    INSERT (scope, device_id, ifindex, ifname, if_descr, if_alias, if_type, mtu, speed_bps, mac,
            admin_status, oper_status, controller_id, sighted_at, seq)
    VALUES (r.scope, r.device_id, r.ifindex, r.ifname, r.if_descr, r.if_alias, r.if_type, r.mtu,
            r.speed_bps, r.mac, r.admin_status, r.oper_status, r.controller_id, r.recorded_at,
            r.seq);
