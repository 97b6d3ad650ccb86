-- Running configs by content, sealed, in parts that fit the log; the same content is kept once per device.
-- key: scope, device_id, running_hash, part
-- folds: config.recorded

-- name: table
CREATE TABLE IF NOT EXISTS config (
    scope         VARCHAR NOT NULL,
    device_id     VARCHAR NOT NULL,
    running_hash  VARCHAR NOT NULL,     -- SHA-256 of the whole text
    part          UINTEGER NOT NULL,
    parts         UINTEGER NOT NULL,
    text          VARCHAR NOT NULL,     -- sealed: pdsno/execution/vault.py opens it
    key_id        VARCHAR NOT NULL,     -- with whose key
    controller_id VARCHAR NOT NULL,
    recorded_at   TIMESTAMP NOT NULL,
    seq           UBIGINT NOT NULL
);

-- name: fold config.recorded
MERGE INTO config USING (
    SELECT scope, device_id, data->>'running_hash' AS running_hash,
           CAST(data->>'part' AS UINTEGER) AS part, controller_id, recorded_at, seq, data
    FROM batch WHERE type = 'config.recorded'
    QUALIFY row_number() OVER (
        PARTITION BY scope, device_id, data->>'running_hash', data->>'part' ORDER BY seq) = 1
) b
ON config.scope = b.scope AND config.device_id = b.device_id
   AND config.running_hash = b.running_hash AND config.part = b.part
WHEN NOT MATCHED THEN
    INSERT (scope, device_id, running_hash, part, parts, text, key_id, controller_id, recorded_at,
            seq)
    VALUES (b.scope, b.device_id, b.running_hash, b.part, CAST(b.data->>'parts' AS UINTEGER),
            b.data->>'text', b.data->>'key_id', b.controller_id, b.recorded_at, b.seq);
