-- Controllers that were admitted, each in the scope where it acts.
-- key: scope, controller_id
-- folds: controller.admitted, controller.silenced, controller.heard

-- name: table
CREATE TABLE IF NOT EXISTS controller (
    scope         VARCHAR NOT NULL,
    controller_id VARCHAR NOT NULL,
    role          VARCHAR NOT NULL,
    status        VARCHAR NOT NULL,     -- active, silent
    admitted_at   TIMESTAMP NOT NULL,
    changed_at    TIMESTAMP NOT NULL,   -- when the status became what it is
    public_key    VARCHAR NOT NULL,
    key_id        VARCHAR NOT NULL,
    first_seq     UBIGINT NOT NULL,
    seq           UBIGINT NOT NULL
);

-- name: fold controller.admitted
MERGE INTO controller USING (
    SELECT scope, controller_id, min(seq) AS first_seq, arg_min(recorded_at, seq) AS first_at,
           max(seq) AS seq, arg_max(data, seq) AS data
    FROM batch WHERE type = 'controller.admitted' GROUP BY scope, controller_id
) b
ON controller.scope = b.scope AND controller.controller_id = b.controller_id
WHEN MATCHED THEN UPDATE SET
    role = b.data->>'role', public_key = b.data->>'public_key', key_id = b.data->>'key_id',
    seq = b.seq
WHEN NOT MATCHED THEN
    INSERT (scope, controller_id, role, status, admitted_at, changed_at, public_key, key_id,
            first_seq, seq)
    VALUES (b.scope, b.controller_id, b.data->>'role', 'active', b.first_at, b.first_at,
            b.data->>'public_key', b.data->>'key_id', b.first_seq, b.seq);

-- name: fold controller.silenced, controller.heard
UPDATE controller
SET status = b.status, changed_at = b.recorded_at, seq = greatest(controller.seq, b.seq)
FROM (
    SELECT c.scope, c.controller_id, e.seq, e.recorded_at,
           CASE e.type WHEN 'controller.silenced' THEN 'silent' ELSE 'active' END AS status
    FROM batch e JOIN controller c USING (scope, controller_id)
    WHERE e.type IN ('controller.silenced', 'controller.heard') AND e.seq > c.first_seq
    QUALIFY row_number() OVER (PARTITION BY c.scope, c.controller_id ORDER BY e.seq DESC) = 1
) b
WHERE controller.scope = b.scope AND controller.controller_id = b.controller_id;
