-- How far each executor is with a change.
-- key: scope, change_id, controller_id
-- folds: execution.started, execution.held, execution.failed, execution.finished

-- name: table
CREATE TABLE IF NOT EXISTS execution (
    scope         VARCHAR NOT NULL,
    change_id     VARCHAR NOT NULL,
    controller_id VARCHAR NOT NULL,
    token_id      VARCHAR,              -- NULL: an emergency
    status        VARCHAR NOT NULL,     -- running, held, failed, executed, rolled_back, degraded
    attempt       UBIGINT NOT NULL,     -- more than 1 after a crash
    devices       VARCHAR[] NOT NULL,   -- in the order in which they are done
    degraded      VARCHAR[] NOT NULL,   -- whose rollback failed
    reason        VARCHAR,              -- of the first failure
    detail        VARCHAR,
    undone_at     TIMESTAMP,            -- while it holds: silence until then undoes it
    started_at    TIMESTAMP NOT NULL,
    ended_at      TIMESTAMP,
    first_seq     UBIGINT NOT NULL,
    seq           UBIGINT NOT NULL
);

-- name: fold execution.started
MERGE INTO execution USING (
    SELECT scope, controller_id, data->>'change_id' AS change_id,
           min(seq) AS first_seq, arg_min(recorded_at, seq) AS first_at,
           arg_min(data, seq) AS first_data, max(seq) AS seq, arg_max(data, seq) AS data, arg_max(TRY_CAST(data->>'attempt' AS UBIGINT), seq) AS attempt
    FROM batch WHERE type = 'execution.started' GROUP BY ALL
) b
ON execution.scope = b.scope AND execution.change_id = b.change_id
   AND execution.controller_id = b.controller_id
WHEN MATCHED THEN UPDATE SET
    attempt = b.attempt, devices = json_transform(b.data->'devices', '["VARCHAR"]'), seq = b.seq
WHEN NOT MATCHED THEN
    INSERT (scope, change_id, controller_id, token_id, status, attempt, devices, degraded,
            started_at, first_seq, seq)
    VALUES (b.scope, b.change_id, b.controller_id, b.first_data->>'token_id', 'running', b.attempt,
            json_transform(b.data->'devices', '["VARCHAR"]'), [], b.first_at, b.first_seq, b.seq);

-- A failure is not undone by what is said of holding. How it ended is said once, unless it is called
-- back after it was done.

-- name: fold execution.held, execution.failed, execution.finished
UPDATE execution
SET status = s.r.status, degraded = s.r.degraded, reason = s.r.reason, detail = s.r.detail,
    undone_at = s.r.undone_at, ended_at = s.r.ended_at, seq = greatest(execution.seq, s.r.seq)
FROM (
    SELECT x.scope, x.change_id, x.controller_id, list_reduce(said.words,
        lambda a, w: CASE
            WHEN a.ended_at IS NOT NULL AND a.status != 'executed' THEN a
            WHEN a.ended_at IS NOT NULL AND w.type = 'execution.held' THEN a
            WHEN w.type = 'execution.finished' THEN {
                'status': w.data->>'outcome', 'degraded': w.degraded,
                'reason': a.reason, 'detail': coalesce(a.detail, w.data->>'detail'),
                'undone_at': NULL, 'ended_at': w.at, 'seq': w.seq}
            WHEN w.type = 'execution.failed' THEN {
                'status': 'failed', 'degraded': a.degraded,
                'reason': coalesce(a.reason, w.data->>'reason'),
                'detail': coalesce(a.detail, w.data->>'detail'),
                'undone_at': NULL, 'ended_at': NULL, 'seq': w.seq}
            WHEN a.status IN ('running', 'held') THEN {
                'status': 'held', 'degraded': a.degraded, 'reason': a.reason, 'detail': a.detail,
                'undone_at': w.undone_at, 'ended_at': NULL, 'seq': w.seq}
            ELSE a END,
        {'status': x.status, 'degraded': x.degraded, 'reason': x.reason, 'detail': x.detail,
         'undone_at': x.undone_at, 'ended_at': x.ended_at, 'seq': CAST(0 AS UBIGINT)}) AS r
    FROM execution x JOIN (
        SELECT e.scope, e.data->>'change_id' AS change_id, e.controller_id, list({
                   'type': e.type, 'data': e.data, 'at': e.recorded_at, 'seq': e.seq,
                   'degraded': json_transform(e.data->'degraded', '["VARCHAR"]'),
                   'undone_at': TRY_CAST(e.data->>'undone_at' AS TIMESTAMP)} ORDER BY e.seq)
                   AS words
        FROM batch e JOIN execution y ON y.scope = e.scope AND y.controller_id = e.controller_id
                                     AND y.change_id = e.data->>'change_id'
        WHERE e.type IN ('execution.held', 'execution.failed', 'execution.finished')
          AND e.seq > y.first_seq
        GROUP BY ALL
    ) said USING (scope, change_id, controller_id)
) s
WHERE execution.scope = s.scope AND execution.change_id = s.change_id
  AND execution.controller_id = s.controller_id;
