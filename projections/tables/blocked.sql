-- Who may not join or renew in a scope, by name or by public key, and since when.
-- key: scope, blocked
-- folds: controller.blocked, controller.unblocked

-- name: table
CREATE TABLE IF NOT EXISTS blocked (
    scope      VARCHAR NOT NULL,
    blocked    VARCHAR NOT NULL,     -- a controller id, a temporary id or a public key
    in_force   BOOLEAN NOT NULL,
    reason     VARCHAR NOT NULL,     -- of the last word on it
    changed_at TIMESTAMP NOT NULL,
    seq        UBIGINT NOT NULL
);

-- name: fold controller.blocked, controller.unblocked
MERGE INTO blocked USING (
    SELECT scope, data->>'blocked' AS blocked, type = 'controller.blocked' AS in_force, recorded_at,
           data->>'reason' AS reason, seq
    FROM batch WHERE type IN ('controller.blocked', 'controller.unblocked')
    QUALIFY row_number() OVER (PARTITION BY scope, data->>'blocked' ORDER BY seq DESC) = 1
) b
ON blocked.scope = b.scope AND blocked.blocked = b.blocked
WHEN MATCHED THEN UPDATE SET
    in_force = b.in_force, reason = b.reason, changed_at = b.recorded_at, seq = b.seq
WHEN NOT MATCHED THEN INSERT (scope, blocked, in_force, reason, changed_at, seq)
    VALUES (b.scope, b.blocked, b.in_force, b.reason, b.recorded_at, b.seq);
