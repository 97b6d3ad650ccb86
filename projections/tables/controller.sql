-- Controllers that were admitted, each in the scope where it acts.
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
    seq           UBIGINT NOT NULL,
    PRIMARY KEY (scope, controller_id)
);

-- name: fold
INSERT INTO controller BY NAME
SELECT scope, data->>'controller_id' AS controller_id, data->>'role' AS role, 'active' AS status,
       recorded_at AS admitted_at, recorded_at AS changed_at, data->>'public_key' AS public_key,
       data->>'key_id' AS key_id, seq AS first_seq, seq
FROM batch WHERE type = 'controller.admitted'
QUALIFY row_number() OVER (PARTITION BY scope, data->>'controller_id' ORDER BY seq) = 1
ON CONFLICT DO NOTHING;

-- name: fold
UPDATE controller SET public_key = b.public_key, key_id = b.key_id, role = b.role, seq = b.seq
FROM (
    SELECT scope, data->>'controller_id' AS controller_id, data->>'public_key' AS public_key,
           data->>'key_id' AS key_id, data->>'role' AS role, seq
    FROM batch WHERE type = 'controller.admitted'
    QUALIFY row_number() OVER (PARTITION BY scope, data->>'controller_id' ORDER BY seq DESC) = 1
) b
WHERE controller.scope = b.scope AND controller.controller_id = b.controller_id
  AND b.seq > controller.seq;

-- name: fold
UPDATE controller
SET status = b.status, changed_at = b.recorded_at, seq = greatest(controller.seq, b.seq)
FROM (
    SELECT c.scope, c.controller_id, e.seq, e.recorded_at,
           CASE e.type WHEN 'controller.silenced' THEN 'silent' ELSE 'active' END AS status
    FROM batch e
    JOIN controller c ON c.scope = e.scope AND c.controller_id = e.data->>'controller_id'
    WHERE e.type IN ('controller.silenced', 'controller.heard') AND e.seq > c.first_seq
    QUALIFY row_number() OVER (PARTITION BY c.scope, c.controller_id ORDER BY e.seq DESC) = 1
) b
WHERE controller.scope = b.scope AND controller.controller_id = b.controller_id;
