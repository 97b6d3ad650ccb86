-- Seals: up to which sequence each scope is sealed, with which root.
-- key: scope, seq
-- folds: seal.made

-- name: table
CREATE TABLE IF NOT EXISTS seal (
    scope         VARCHAR NOT NULL,
    size          UBIGINT NOT NULL,   -- the events of the scope that it covers, from the first on
    root          VARCHAR NOT NULL,   -- base64url
    origin        VARCHAR NOT NULL,
    previous_size UBIGINT NOT NULL,   -- of the seal before; 0: there was none
    frontier      VARCHAR[] NOT NULL, -- the whole subtrees: from here the next seal goes on
    proof         VARCHAR[] NOT NULL, -- that it grew out of the seal before
    signature     VARCHAR NOT NULL,   -- of the checkpoint
    next_within_s DOUBLE NOT NULL,
    source        VARCHAR NOT NULL,   -- who sealed
    made_at       TIMESTAMP NOT NULL,
    seq           UBIGINT NOT NULL
);

-- name: fold seal.made
MERGE INTO seal USING (
    SELECT scope, source, recorded_at, seq, data FROM batch WHERE type = 'seal.made'
) b
ON seal.scope = b.scope AND seal.seq = b.seq
WHEN NOT MATCHED THEN
    INSERT (scope, size, root, origin, previous_size, frontier, proof, signature, next_within_s,
            source, made_at, seq)
    VALUES (b.scope, CAST(b.data->>'size' AS UBIGINT), b.data->>'root', b.data->>'origin',
            CAST(b.data->>'previous_size' AS UBIGINT), b.data->>'$.frontier[*]',
            b.data->>'$.proof[*]', b.data->>'signature', CAST(b.data->>'next_within_s' AS DOUBLE),
            b.source, b.recorded_at, b.seq);
