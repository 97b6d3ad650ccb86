-- What people said of a change, each the last word of one approver.
-- key: scope, change_id, author, approver
-- folds: approval.given, approval.withheld, approval.voided

-- name: table
CREATE TABLE IF NOT EXISTS approval (
    scope       VARCHAR NOT NULL,
    change_id   VARCHAR NOT NULL,
    author      VARCHAR NOT NULL,     -- of the change
    approver    VARCHAR NOT NULL,     -- the operator whose key signed it
    person      VARCHAR NOT NULL,
    status      VARCHAR NOT NULL,     -- given, withheld, void
    reason      VARCHAR,              -- of a no, or why it is void
    shown_seq   UBIGINT,              -- the change.classified that was shown
    config_hash VARCHAR,
    blast_hash  VARCHAR,
    expires_at  TIMESTAMP,
    said_at     TIMESTAMP NOT NULL,
    first_seq   UBIGINT NOT NULL,
    seq         UBIGINT NOT NULL
);

-- name: fold approval.given, approval.withheld
MERGE INTO approval USING (
    SELECT scope, data->>'change_id' AS change_id, data->>'author' AS author,
           data->>'approver' AS approver, max(seq) AS seq, min(seq) AS first_seq,
           arg_max(type, seq) AS type, arg_max(data, seq) AS data,
           arg_max(recorded_at, seq) AS recorded_at
    FROM batch WHERE type IN ('approval.given', 'approval.withheld') GROUP BY ALL
) b
ON approval.scope = b.scope AND approval.change_id = b.change_id AND approval.author = b.author
   AND approval.approver = b.approver
WHEN MATCHED THEN UPDATE SET
    person = b.data->>'person', status = substr(b.type, 10), reason = b.data->>'reason',
    shown_seq = TRY_CAST(b.data->>'seq' AS UBIGINT), config_hash = b.data->>'config_hash',
    blast_hash = b.data->>'blast_hash', expires_at = TRY_CAST(b.data->>'expires_at' AS TIMESTAMP),
    said_at = b.recorded_at, seq = b.seq
WHEN NOT MATCHED THEN
    INSERT (scope, change_id, author, approver, person, status, reason, shown_seq, config_hash,
            blast_hash, expires_at, said_at, first_seq, seq)
    VALUES (b.scope, b.change_id, b.author, b.approver, b.data->>'person', substr(b.type, 10),
            b.data->>'reason', TRY_CAST(b.data->>'seq' AS UBIGINT), b.data->>'config_hash',
            b.data->>'blast_hash', TRY_CAST(b.data->>'expires_at' AS TIMESTAMP), b.recorded_at,
            b.first_seq, b.seq);

-- An approval is void from then on, until the approver gives another. A no stays a no.

-- name: fold approval.voided
UPDATE approval SET status = 'void', reason = b.reason, seq = b.seq
FROM (
    WITH void AS (
        SELECT scope, data->>'change_id' AS change_id, data->>'author' AS author, seq,
               unnest(json_transform(data->'approvals',
                      '[{"approver":"VARCHAR","reason":"VARCHAR"}]'), recursive := true),
               generate_subscripts(CAST(data->'approvals' AS JSON[]), 1) AS place
        FROM batch WHERE type = 'approval.voided'
    )
    SELECT v.* FROM void v JOIN approval a USING (scope, change_id, author, approver)
    WHERE v.seq > a.seq AND a.status != 'withheld'
    QUALIFY row_number() OVER (
        PARTITION BY v.scope, v.change_id, v.author, v.approver
        ORDER BY v.seq DESC, v.place DESC) = 1
) b
WHERE approval.scope = b.scope AND approval.change_id = b.change_id
  AND approval.author = b.author AND approval.approver = b.approver;
