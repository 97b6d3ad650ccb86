-- Witnessed heads: what each controller saw of another scope last.
-- key: scope, sealed
-- folds: seal.witnessed

-- name: table
CREATE TABLE IF NOT EXISTS witness (
    scope        VARCHAR NOT NULL,   -- of the witness
    sealed       VARCHAR NOT NULL,   -- the scope that it saw
    size         UBIGINT NOT NULL,
    root         VARCHAR NOT NULL,
    seal_seq     UBIGINT NOT NULL,   -- where the seal stands in the scope that was seen
    source       VARCHAR NOT NULL,   -- who witnessed
    witnessed_at TIMESTAMP NOT NULL,
    seq          UBIGINT NOT NULL
);

-- name: fold seal.witnessed
MERGE INTO witness USING (
    SELECT scope, data->>'sealed' AS sealed, source, recorded_at, seq, data
    FROM batch WHERE type = 'seal.witnessed'
    QUALIFY row_number() OVER (PARTITION BY scope, data->>'sealed' ORDER BY seq DESC) = 1
) b
ON witness.scope = b.scope AND witness.sealed = b.sealed
WHEN MATCHED AND b.seq > witness.seq THEN
    UPDATE SET size = CAST(b.data->>'size' AS UBIGINT), root = b.data->>'root',
               seal_seq = CAST(b.data->>'seal_seq' AS UBIGINT), source = b.source,
               witnessed_at = b.recorded_at, seq = b.seq
WHEN NOT MATCHED THEN
    INSERT (scope, sealed, size, root, seal_seq, source, witnessed_at, seq)
    VALUES (b.scope, b.sealed, CAST(b.data->>'size' AS UBIGINT), b.data->>'root',
            CAST(b.data->>'seal_seq' AS UBIGINT), b.source, b.recorded_at, b.seq);
