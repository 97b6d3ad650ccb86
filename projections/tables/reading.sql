-- Each time a device's running config was read, for a change or because somebody asked.
-- key: scope, device_id, seq
-- folds: execution.config_read, config.checked

-- name: table
CREATE TABLE IF NOT EXISTS reading (
    scope         VARCHAR NOT NULL,
    device_id     VARCHAR NOT NULL,
    running_hash  VARCHAR NOT NULL,     -- the text is in `config`
    phase         VARCHAR NOT NULL,     -- before, after, reverted; or as_left, first, drifted
    change_id     VARCHAR,              -- it was read for; or that left what was expected
    driver        VARCHAR,              -- NULL: what the change's target says
    parts         VARCHAR[],            -- what was read; empty: all there is; NULL: the change tells
    controller_id VARCHAR NOT NULL,
    read_at       TIMESTAMP NOT NULL,
    seq           UBIGINT NOT NULL
);

-- name: fold execution.config_read, config.checked
INSERT INTO reading BY NAME
SELECT scope, device_id, data->>'running_hash' AS running_hash,
       coalesce(data->>'phase', data->>'outcome') AS phase, data->>'change_id' AS change_id,
       data->>'driver' AS driver,
       CASE type WHEN 'config.checked' THEN data->>'$.parts[*]' END AS parts, controller_id,
       recorded_at AS read_at, seq
FROM batch
WHERE type = 'execution.config_read' OR (type = 'config.checked' AND data->>'running_hash' IS NOT NULL);
