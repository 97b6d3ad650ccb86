-- Every version of the policy, and of what regions add; the highest number is in force.
-- key: scope, number
-- folds: policy.applied

-- name: table
CREATE TABLE IF NOT EXISTS policy (
    scope         VARCHAR NOT NULL,     -- global: the network's; a region: what it adds
    number        UBIGINT NOT NULL,
    document      JSON NOT NULL,
    document_hash VARCHAR NOT NULL,
    applied_by    VARCHAR NOT NULL,
    submitted_by  VARCHAR NOT NULL,
    note          VARCHAR NOT NULL,
    applied_at    TIMESTAMP NOT NULL,
    seq           UBIGINT NOT NULL
);

-- A version follows the one before, or does not count; the network's are the global controller's.

-- name: fold policy.applied
INSERT INTO policy BY NAME
SELECT scope, CAST(data->>'number' AS UBIGINT) AS number, data->'document' AS document,
       data->>'document_hash' AS document_hash, data->>'applied_by' AS applied_by,
       data->>'submitted_by' AS submitted_by, data->>'note' AS note, recorded_at AS applied_at, seq
FROM batch JOIN (
    SELECT w.scope, unnest((list_reduce(w.words, lambda a, v: CASE
            WHEN v.number = a.number + 1 THEN {'number': v.number, 'kept': a.kept || [v.seq]}
            ELSE a END,
        {'number': coalesce(p.number, 0), 'kept': CAST([] AS UBIGINT[])})).kept) AS seq
    FROM (
        SELECT scope, list({'number': TRY_CAST(data->>'number' AS UBIGINT), 'seq': seq}
                           ORDER BY seq) AS words
        FROM batch
        WHERE type = 'policy.applied'
          AND (scope != 'global' OR data->>'applied_by' LIKE 'global.%')
        GROUP BY scope
    ) w LEFT JOIN (SELECT scope, max(number) AS number FROM policy GROUP BY scope) p USING (scope)
) kept USING (scope, seq);
