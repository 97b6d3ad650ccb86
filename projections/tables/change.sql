-- Changes, parts of changes and emergencies: where each stands, and the words that brought it there.
-- The fold is pdsno/governance/change.py in SQL, event by event: an event moves a change only in the
-- state that knows it, and only from whom it has a say (docs/change.md). The state is kept as one
-- struct: taken apart before the update, DuckDB would plan the whole reduction once for each column.
-- key: scope, change_id
-- folds: change.proposed, change.reserved, emergency.declared, change.classified, change.escalated,
--        change.postponed, change.withdrawn, change.approved, change.denied, change.expired,
--        change.started, change.confirmed, change.recalled, change.executed, change.rolled_back,
--        change.degraded, token.spent, execution.failed

-- name: table
CREATE TABLE IF NOT EXISTS change (
    scope          VARCHAR NOT NULL,
    change_id      VARCHAR NOT NULL,
    author         VARCHAR NOT NULL,     -- the operator or controller that proposed it
    kind           VARCHAR NOT NULL,     -- change, part, emergency
    phase          VARCHAR NOT NULL,
    config_hash    VARCHAR NOT NULL,
    devices        VARCHAR[] NOT NULL,
    asked          JSON NOT NULL,        -- the data of the event that began it
    classified     JSON,                 -- of the last change.classified that counts
    classified_seq UBIGINT,              -- what approvals refer to
    escalated      JSON,
    postponed      JSON,                 -- what it waits for, while it is pending
    withdrawn      JSON,
    approved       JSON,
    confirmed      BOOLEAN NOT NULL,
    recalled       JSON,
    ended          JSON,                 -- of change.denied, .expired, .executed, .rolled_back, .degraded
    proposed_at    TIMESTAMP NOT NULL,
    approved_at    TIMESTAMP,
    started_at     TIMESTAMP,
    ended_at       TIMESTAMP,
    first_seq      UBIGINT NOT NULL,
    seq            UBIGINT NOT NULL
);

-- name: fold change.proposed, change.reserved, emergency.declared
MERGE INTO change USING (
    SELECT scope, data->>'change_id' AS change_id, type, recorded_at, seq, data
    FROM batch
    WHERE type IN ('change.proposed', 'emergency.declared')
       OR (type = 'change.reserved' AND data->>'decided_by' LIKE 'global.%')
    QUALIFY row_number() OVER (PARTITION BY scope, data->>'change_id' ORDER BY seq) = 1
) b
ON change.scope = b.scope AND change.change_id = b.change_id
WHEN NOT MATCHED THEN
    INSERT (scope, change_id, author, kind, phase, config_hash, devices, asked, confirmed,
            proposed_at, started_at, first_seq, seq)
    VALUES (b.scope, b.change_id, b.data->>'author',
            CASE b.type WHEN 'change.proposed' THEN 'change' WHEN 'change.reserved' THEN 'part'
                        ELSE 'emergency' END,
            CASE b.type WHEN 'emergency.declared' THEN 'EXECUTING' ELSE 'PENDING' END,
            b.data->>'config_hash', b.data->>'$.targets[*].device_id', b.data, false,
            b.recorded_at, CASE b.type WHEN 'emergency.declared' THEN b.recorded_at END,
            b.seq, b.seq);

-- name: fold change.classified, change.escalated, change.postponed, change.withdrawn, change.approved, change.denied, change.expired, change.started, change.confirmed, change.recalled, change.executed, change.rolled_back, change.degraded, token.spent, execution.failed
UPDATE change
SET phase = s.r.phase, classified = s.r.classified, classified_seq = s.r.classified_seq,
    escalated = s.r.escalated, postponed = s.r.postponed, withdrawn = s.r.withdrawn,
    approved = s.r.approved, confirmed = s.r.confirmed, recalled = s.r.recalled, ended = s.r.ended,
    approved_at = s.r.approved_at, started_at = s.r.started_at, ended_at = s.r.ended_at, seq = s.r.seq
FROM (
    WITH word AS (
        SELECT c.scope, c.change_id, e.type, e.data, e.recorded_at, e.seq, e.controller_id,
               e.data->>'decided_by' LIKE 'global.%' AS root
        FROM batch e JOIN change c ON c.scope = e.scope AND c.change_id = e.data->>'change_id'
        WHERE e.seq > c.first_seq
          AND e.type IN ('change.classified', 'change.escalated', 'change.postponed',
                         'change.withdrawn', 'change.approved', 'change.denied', 'change.expired',
                         'change.started', 'change.confirmed', 'change.recalled',
                         'change.executed', 'change.rolled_back', 'change.degraded', 'token.spent',
                         'execution.failed')
          AND coalesce(e.data->>'author', c.author) = c.author
          -- in scope global, and on a part, the global controller decides
          AND (coalesce(root, true) OR NOT (c.scope = 'global' OR (c.kind = 'part'
               AND e.type NOT IN ('change.recalled', 'change.executed', 'change.rolled_back',
                                  'change.degraded', 'change.expired'))))
          AND (e.type != 'change.started' OR c.scope = 'global')
          AND (e.type != 'change.withdrawn' OR e.data->>'withdrawn_by' LIKE 'operator.%'
               OR e.data->>'withdrawn_by' = c.author)
    ), said AS (
        SELECT scope, change_id,
               list({'type': type, 'data': data, 'at': recorded_at, 'seq': seq, 'root': root,
                     'by': controller_id} ORDER BY seq) AS words
        FROM word GROUP BY scope, change_id
    )
    SELECT c.scope, c.change_id, list_reduce(said.words, lambda a, w: list_transform([{
            'to': CASE
                WHEN w.type = 'change.classified' AND a.phase = 'PENDING'
                     AND (w.root OR a.classified IS NULL
                          OR NOT a.classified->>'decided_by' LIKE 'global.%')
                     THEN 'PENDING'
                WHEN w.type IN ('change.escalated', 'change.postponed') AND a.phase = 'PENDING'
                     THEN 'PENDING'
                WHEN w.type = 'change.withdrawn' AND a.phase IN ('PENDING', 'APPROVED')
                     THEN a.phase
                WHEN w.type = 'change.approved' AND a.phase = 'PENDING' AND CASE c.kind
                     WHEN 'part' THEN w.root AND w.data->>'config_hash' = c.config_hash
                     WHEN 'change' THEN coalesce((w.root OR a.classified->>'tier' != 'HIGH')
                          AND a.classified->>'tier' = w.data->>'tier'
                          AND a.classified->>'config_hash' = w.data->>'config_hash', false)
                     ELSE false END
                     THEN 'APPROVED'
                WHEN w.type = 'change.denied' AND a.phase IN ('PENDING', 'APPROVED') THEN 'DENIED'
                WHEN w.type = 'change.expired' AND a.phase IN ('PENDING', 'APPROVED')
                     THEN 'EXPIRED'
                WHEN w.type = 'change.started' AND a.phase = 'APPROVED' THEN 'EXECUTING'
                WHEN w.type = 'token.spent' AND a.phase IN ('APPROVED', 'EXECUTING', 'ROLLING_BACK')
                     AND list_contains(a.shares, w.by || ' ' || (w.data->>'token_id'))
                     THEN CASE a.phase WHEN 'APPROVED' THEN 'EXECUTING' ELSE a.phase END
                WHEN w.type = 'execution.failed' AND a.phase IN ('EXECUTING', 'ROLLING_BACK')
                     AND list_contains(a.executors, w.by) THEN 'ROLLING_BACK'
                WHEN w.type = 'change.confirmed' AND a.phase = 'EXECUTING' THEN 'EXECUTING'
                WHEN w.type = 'change.recalled' AND a.phase IN ('EXECUTING', 'ROLLING_BACK')
                     THEN 'ROLLING_BACK'
                WHEN w.type = 'change.executed' AND a.phase = 'EXECUTING' THEN 'EXECUTED'
                WHEN w.type = 'change.rolled_back' AND a.phase = 'ROLLING_BACK' THEN 'ROLLED_BACK'
                WHEN w.type = 'change.degraded' AND a.phase = 'ROLLING_BACK' THEN 'DEGRADED'
            END
        }], lambda s: CASE WHEN s.to IS NULL THEN a ELSE {
            'phase': s.to,
            'classified': CASE w.type WHEN 'change.classified' THEN w.data ELSE a.classified END,
            'classified_seq':
                CASE w.type WHEN 'change.classified' THEN w.seq ELSE a.classified_seq END,
            'escalated': CASE w.type WHEN 'change.escalated' THEN w.data ELSE a.escalated END,
            'postponed': CASE w.type WHEN 'change.postponed' THEN w.data
                                     WHEN 'change.classified' THEN NULL ELSE a.postponed END,
            'withdrawn': CASE w.type WHEN 'change.withdrawn' THEN w.data ELSE a.withdrawn END,
            'approved': CASE w.type WHEN 'change.approved' THEN w.data ELSE a.approved END,
            'confirmed': a.confirmed OR w.type = 'change.confirmed',
            'recalled': CASE w.type WHEN 'change.recalled' THEN coalesce(a.recalled, w.data)
                                    ELSE a.recalled END,
            'ended': CASE WHEN s.to IN ('EXECUTED', 'ROLLED_BACK', 'DEGRADED', 'DENIED', 'EXPIRED')
                          THEN w.data ELSE a.ended END,
            'approved_at': CASE w.type WHEN 'change.approved' THEN w.at ELSE a.approved_at END,
            'started_at': CASE WHEN s.to = 'EXECUTING' THEN coalesce(a.started_at, w.at)
                               ELSE a.started_at END,
            'ended_at': CASE WHEN s.to IN ('EXECUTED', 'ROLLED_BACK', 'DEGRADED', 'DENIED',
                                           'EXPIRED') THEN w.at ELSE a.ended_at END,
            'seq': w.seq,
            'shares': CASE w.type WHEN 'change.approved' THEN list_transform(list_zip(
                          w.data->>'$.shares[*].controller_id', w.data->>'$.shares[*].token_id'),
                          lambda z: z[1] || ' ' || z[2]) ELSE a.shares END,
            'executors': CASE w.type WHEN 'change.approved'
                         THEN w.data->>'$.shares[*].controller_id' ELSE a.executors END
        } END)[1], {
            'phase': c.phase, 'classified': c.classified, 'classified_seq': c.classified_seq,
            'escalated': c.escalated, 'postponed': c.postponed, 'withdrawn': c.withdrawn,
            'approved': c.approved, 'confirmed': c.confirmed, 'recalled': c.recalled,
            'ended': c.ended, 'approved_at': c.approved_at, 'started_at': c.started_at,
            'ended_at': c.ended_at, 'seq': c.seq,
            'shares': list_transform(list_zip(c.approved->>'$.shares[*].controller_id',
                                              c.approved->>'$.shares[*].token_id'),
                                     lambda z: z[1] || ' ' || z[2]),
            'executors': CASE c.kind WHEN 'emergency' THEN [c.author]
                         ELSE c.approved->>'$.shares[*].controller_id' END
        }) AS r
    FROM said JOIN change c USING (scope, change_id)
) s
WHERE change.scope = s.scope AND change.change_id = s.change_id;
