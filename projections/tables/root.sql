-- The generations of the root after the first, which is pinned and not in the log.
-- key: scope, generation
-- folds: root.rotated

-- name: table
CREATE TABLE IF NOT EXISTS root (
    scope          VARCHAR NOT NULL,
    generation     UINTEGER NOT NULL,
    public_key     VARCHAR NOT NULL,
    previous_until TIMESTAMP NOT NULL,  -- until when the generation before is accepted
    rotated_at     TIMESTAMP NOT NULL,
    seq            UBIGINT NOT NULL
);

-- name: fold root.rotated
MERGE INTO root USING (
    SELECT scope, CAST(data->>'generation' AS UINTEGER) AS generation, recorded_at, seq, data
    FROM batch WHERE type = 'root.rotated'
    QUALIFY row_number() OVER (PARTITION BY scope, data->>'generation' ORDER BY seq) = 1
) b
ON root.scope = b.scope AND root.generation = b.generation
WHEN NOT MATCHED THEN
    INSERT (scope, generation, public_key, previous_until, rotated_at, seq)
    VALUES (b.scope, b.generation, b.data->>'public_key',
            CAST(b.data->>'previous_until' AS TIMESTAMP), b.recorded_at, b.seq);
