-- Execution tokens, as the log last left them: the first issue counts, and the first end.
-- key: scope, token_id
-- folds: token.issued, token.spent, token.revoked, token.expired, token.refused

-- name: table
CREATE TABLE IF NOT EXISTS token (
    scope         VARCHAR NOT NULL,
    token_id      VARCHAR NOT NULL,
    controller_id VARCHAR NOT NULL,     -- the executor
    change_id     VARCHAR NOT NULL,
    status        VARCHAR NOT NULL,     -- live, spent, revoked, expired
    config_hash   VARCHAR NOT NULL,
    devices       VARCHAR[] NOT NULL,
    data          JSON NOT NULL,        -- all that it is bound to
    issued_by     VARCHAR NOT NULL,
    issued_at     TIMESTAMP NOT NULL,
    expires_at    TIMESTAMP NOT NULL,
    request_id    VARCHAR,              -- what spent it; NULL while nothing has
    ended_at      TIMESTAMP,
    refused       UBIGINT NOT NULL,     -- presentations that came to nothing
    refusal       VARCHAR,              -- why the last of them did
    first_seq     UBIGINT NOT NULL,
    seq           UBIGINT NOT NULL
);

-- name: fold token.issued
MERGE INTO token USING (
    SELECT scope, controller_id, data->>'token_id' AS token_id, recorded_at, seq, data
    FROM batch WHERE type = 'token.issued'
    QUALIFY row_number() OVER (PARTITION BY scope, data->>'token_id' ORDER BY seq) = 1
) b
ON token.scope = b.scope AND token.token_id = b.token_id
WHEN NOT MATCHED THEN
    INSERT (scope, token_id, controller_id, change_id, status, config_hash, devices, data,
            issued_by, issued_at, expires_at, refused, first_seq, seq)
    VALUES (b.scope, b.token_id, b.controller_id, b.data->>'change_id', 'live',
            b.data->>'config_hash', b.data->>'$.devices[*]', b.data, b.data->>'issued_by',
            b.recorded_at, CAST(b.data->>'expires_at' AS TIMESTAMP), 0, b.seq, b.seq);

-- What was presented to an executor under the name of a token of another is no event of that token.

-- name: fold token.spent, token.revoked, token.expired
UPDATE token
SET status = substr(b.type, 7), request_id = b.request_id, ended_at = b.recorded_at, seq = b.seq
FROM (
    SELECT t.scope, t.token_id, e.type, e.recorded_at, e.data->>'request_id' AS request_id, e.seq
    FROM batch e JOIN token t ON t.scope = e.scope AND t.token_id = e.data->>'token_id'
                             AND t.change_id = e.data->>'change_id'
    WHERE e.type IN ('token.spent', 'token.revoked', 'token.expired')
      AND e.seq > t.first_seq AND t.status = 'live' AND e.controller_id = t.controller_id
      AND (e.type != 'token.spent' OR e.data->>'config_hash' = t.config_hash)
    QUALIFY row_number() OVER (PARTITION BY t.scope, t.token_id ORDER BY e.seq) = 1
) b
WHERE token.scope = b.scope AND token.token_id = b.token_id;

-- name: fold token.refused
UPDATE token
SET refused = token.refused + b.times, refusal = b.reason, seq = greatest(token.seq, b.seq)
FROM (
    SELECT t.scope, t.token_id, count(*) AS times, max(e.seq) AS seq,
           arg_max(e.data->>'reason', e.seq) AS reason
    FROM batch e JOIN token t ON t.scope = e.scope AND t.token_id = e.data->>'token_id'
    WHERE e.type = 'token.refused' AND e.seq > t.first_seq
    GROUP BY t.scope, t.token_id
) b
WHERE token.scope = b.scope AND token.token_id = b.token_id;
