-- What the tiers above an emergency said of it; the first word of each counts.
-- key: scope, change_id, author, decided_by
-- folds: emergency.reviewed

-- name: table
CREATE TABLE IF NOT EXISTS review (
    scope       VARCHAR NOT NULL,
    change_id   VARCHAR NOT NULL,
    author      VARCHAR NOT NULL,     -- the local controller that acted first
    decided_by  VARCHAR NOT NULL,
    verdict     VARCHAR NOT NULL,     -- accepted, rejected
    reason      VARCHAR NOT NULL,
    detail      VARCHAR NOT NULL,
    reviewed_at TIMESTAMP NOT NULL,
    seq         UBIGINT NOT NULL
);

-- name: fold emergency.reviewed
MERGE INTO review USING (
    SELECT scope, data->>'change_id' AS change_id, data->>'author' AS author,
           data->>'decided_by' AS decided_by, recorded_at, seq, data
    FROM batch WHERE type = 'emergency.reviewed'
    QUALIFY row_number() OVER (
        PARTITION BY scope, data->>'change_id', data->>'author', data->>'decided_by'
        ORDER BY seq) = 1
) b
ON review.scope = b.scope AND review.change_id = b.change_id AND review.author = b.author
   AND review.decided_by = b.decided_by
WHEN NOT MATCHED THEN
    INSERT (scope, change_id, author, decided_by, verdict, reason, detail, reviewed_at, seq)
    VALUES (b.scope, b.change_id, b.author, b.decided_by, b.data->>'verdict', b.data->>'reason',
            b.data->>'detail', b.recorded_at, b.seq);
