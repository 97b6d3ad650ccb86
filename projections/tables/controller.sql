-- Controllers that were admitted, each in the scope where it acts: its certificate and its presence.
-- key: scope, controller_id
-- folds: controller.admitted, controller.renewed, controller.revoked, rotation.requested,
--        controller.silenced, controller.heard

-- name: table
CREATE TABLE IF NOT EXISTS controller (
    scope               VARCHAR NOT NULL,
    controller_id       VARCHAR NOT NULL,
    role                VARCHAR NOT NULL,
    status              VARCHAR NOT NULL,     -- active, silent
    admitted_at         TIMESTAMP NOT NULL,
    changed_at          TIMESTAMP NOT NULL,   -- when the status became what it is
    issuer              VARCHAR NOT NULL,     -- who admitted it
    public_key          VARCHAR NOT NULL,
    key_id              VARCHAR NOT NULL,
    server_user         VARCHAR,              -- its nkey; NULL where the ceremony made it
    valid_until         TIMESTAMP NOT NULL,
    renewed_at          TIMESTAMP,
    previous_public_key VARCHAR,              -- NULL until the keys are other ones
    previous_key_id     VARCHAR,
    previous_until      TIMESTAMP,
    rotation_at         TIMESTAMP,            -- when a new certificate was asked for; NULL: it came
    rotation_keys       BOOLEAN,              -- with new keys
    revoked_at          TIMESTAMP,
    revoked_reason      VARCHAR,
    first_seq           UBIGINT NOT NULL,
    seq                 UBIGINT NOT NULL
);

-- An id is admitted once: the reader lets no second admission through.

-- name: fold controller.admitted
MERGE INTO controller USING (
    SELECT scope, controller_id, source, recorded_at, seq, data
    FROM batch WHERE type = 'controller.admitted'
    QUALIFY row_number() OVER (PARTITION BY scope, controller_id ORDER BY seq) = 1 -- of several
) b
ON controller.scope = b.scope AND controller.controller_id = b.controller_id
WHEN NOT MATCHED THEN
    INSERT (scope, controller_id, role, status, admitted_at, changed_at, issuer, public_key, key_id,
            server_user, valid_until, first_seq, seq)
    VALUES (b.scope, b.controller_id, b.data->>'role', 'active', b.recorded_at, b.recorded_at,
            b.source, b.data->>'public_key', b.data->>'key_id', b.data->>'server_user',
            CAST(b.data->>'valid_until' AS TIMESTAMP), b.seq, b.seq);

-- The keys before are those that the last renewal with other keys replaced: of two such renewals in
-- one batch, those that the first of them brought.

-- name: fold controller.renewed
UPDATE controller
SET public_key = b.public_key, key_id = b.key_id, server_user = b.server_user,
    valid_until = b.valid_until, renewed_at = b.recorded_at,
    previous_public_key = coalesce(b.old_public_key, controller.previous_public_key),
    previous_key_id = coalesce(b.old_key_id, controller.previous_key_id),
    previous_until = coalesce(b.old_until, controller.previous_until),
    rotation_at = NULL, rotation_keys = NULL, seq = greatest(controller.seq, b.seq)
FROM (
    WITH step AS (
        SELECT scope, controller_id, seq, NULL AS recorded_at, public_key, key_id, NULL AS data
        FROM controller
        UNION ALL
        SELECT e.scope, e.controller_id, e.seq, e.recorded_at, e.data->>'public_key',
               e.data->>'key_id', e.data
        FROM batch e JOIN controller c USING (scope, controller_id)
        WHERE e.type = 'controller.renewed' AND e.seq > c.first_seq
    ), change AS (
        SELECT *, lag(key_id) OVER w AS old_key_id, lag(public_key) OVER w AS old_public_key
        FROM step WINDOW w AS (PARTITION BY scope, controller_id ORDER BY data IS NOT NULL, seq)
    )
    SELECT scope, controller_id, max(seq) AS seq, arg_max(recorded_at, seq) AS recorded_at,
           arg_max(public_key, seq) AS public_key, arg_max(key_id, seq) AS key_id,
           CAST(arg_max(data, seq)->>'valid_until' AS TIMESTAMP) AS valid_until,
           arg_max(data, seq)->>'server_user' AS server_user,
           arg_max(old_key_id, seq) FILTER (old_key_id != key_id) AS old_key_id,
           arg_max(old_public_key, seq) FILTER (old_key_id != key_id) AS old_public_key,
           CAST(arg_max(data, seq) FILTER (old_key_id != key_id)->>'previous_until'
                AS TIMESTAMP) AS old_until
    FROM change WHERE data IS NOT NULL
    GROUP BY scope, controller_id
) b
WHERE controller.scope = b.scope AND controller.controller_id = b.controller_id;

-- name: fold controller.revoked
UPDATE controller
SET revoked_at = b.recorded_at, revoked_reason = b.reason, seq = greatest(controller.seq, b.seq)
FROM (
    SELECT c.scope, c.controller_id, e.seq, e.recorded_at, e.data->>'reason' AS reason
    FROM batch e JOIN controller c USING (scope, controller_id)
    WHERE e.type = 'controller.revoked' AND e.seq > c.first_seq AND c.revoked_at IS NULL
    QUALIFY row_number() OVER (PARTITION BY c.scope, c.controller_id ORDER BY e.seq) = 1
) b
WHERE controller.scope = b.scope AND controller.controller_id = b.controller_id;

-- A request is open until a renewal follows it.

-- name: fold rotation.requested
UPDATE controller
SET rotation_at = b.recorded_at, rotation_keys = b.keys, seq = greatest(controller.seq, b.seq)
FROM (
    SELECT c.scope, c.controller_id, e.seq, e.recorded_at, CAST(e.data->>'keys' AS BOOLEAN) AS keys
    FROM batch e JOIN controller c USING (scope, controller_id)
    WHERE e.type = 'rotation.requested' AND e.seq > c.first_seq
      AND NOT EXISTS (
          SELECT 1 FROM batch r
          WHERE r.type = 'controller.renewed' AND r.scope = e.scope
            AND r.controller_id = e.controller_id AND r.seq > e.seq)
    QUALIFY row_number() OVER (PARTITION BY c.scope, c.controller_id ORDER BY e.seq DESC) = 1
) b
WHERE controller.scope = b.scope AND controller.controller_id = b.controller_id;

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
