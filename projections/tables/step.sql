-- The last step of a change on each device, and its running config before and after.
-- key: scope, change_id, controller_id, device_id
-- folds: execution.config_read, execution.applying, execution.verified, execution.confirming,
--        execution.reverting, execution.reverted

-- name: table
CREATE TABLE IF NOT EXISTS step (
    scope         VARCHAR NOT NULL,
    change_id     VARCHAR NOT NULL,
    controller_id VARCHAR NOT NULL,
    device_id     VARCHAR NOT NULL,
    step          VARCHAR NOT NULL,     -- config_read, applying, verified, confirming, reverting, reverted
    before_hash   VARCHAR,              -- running config before it was touched
    after_hash    VARCHAR,              -- as it was read back
    reverted_hash VARCHAR,              -- as it was read after the rollback
    payload_hash  VARCHAR,
    persist_id    VARCHAR,              -- of the last attempt to apply
    matched       BOOLEAN,              -- whether it read back as asked
    restored      BOOLEAN,              -- whether it reads as it was before
    detail        VARCHAR,
    stepped_at    TIMESTAMP NOT NULL,
    seq           UBIGINT NOT NULL
);

-- name: fold execution.config_read, execution.applying, execution.verified, execution.confirming, execution.reverting, execution.reverted
MERGE INTO step USING (
    SELECT scope, data->>'change_id' AS change_id, controller_id, device_id,
           arg_max(substr(type, 11), seq) AS step, max(seq) AS seq,
           arg_max(recorded_at, seq) AS stepped_at,
           arg_max(data->>'running_hash', seq) FILTER (data->>'phase' = 'before') AS before_hash,
           arg_max(data->>'running_hash', seq) FILTER (data->>'phase' = 'after') AS after_hash,
           arg_max(data->>'running_hash', seq) FILTER (data->>'phase' = 'reverted') AS reverted_hash,
           arg_max(data->>'payload_hash', seq) AS payload_hash,
           arg_max(data->>'persist_id', seq) AS persist_id,
           arg_max(CAST(data->>'matched' AS BOOLEAN), seq) AS matched,
           arg_max(CAST(data->>'verified' AS BOOLEAN), seq) AS restored,
           arg_max(data->>'detail', seq) AS detail
    FROM batch
    WHERE type IN ('execution.config_read', 'execution.applying', 'execution.verified',
                   'execution.confirming', 'execution.reverting', 'execution.reverted')
    GROUP BY ALL
) b
ON step.scope = b.scope AND step.change_id = b.change_id
   AND step.controller_id = b.controller_id AND step.device_id = b.device_id
WHEN MATCHED THEN UPDATE SET
    step = b.step, before_hash = coalesce(b.before_hash, step.before_hash),
    after_hash = coalesce(b.after_hash, step.after_hash),
    reverted_hash = coalesce(b.reverted_hash, step.reverted_hash),
    payload_hash = coalesce(b.payload_hash, step.payload_hash),
    persist_id = coalesce(b.persist_id, step.persist_id),
    matched = coalesce(b.matched, step.matched), restored = coalesce(b.restored, step.restored),
    detail = coalesce(b.detail, step.detail), stepped_at = b.stepped_at, seq = b.seq
WHEN NOT MATCHED THEN
    INSERT (scope, change_id, controller_id, device_id, step, before_hash, after_hash,
            reverted_hash, payload_hash, persist_id, matched, restored, detail, stepped_at, seq)
    VALUES (b.scope, b.change_id, b.controller_id, b.device_id, b.step, b.before_hash,
            b.after_hash, b.reverted_hash, b.payload_hash, b.persist_id, b.matched, b.restored,
            b.detail, b.stepped_at, b.seq);
