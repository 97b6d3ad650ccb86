-- Invitations to join, and how far the join of each is; see streams/catalogue/join.py.
-- key: scope, temp_id
-- folds: join.invited, join.challenged, join.refused, join.accepted, join.failed

-- name: table
CREATE TABLE IF NOT EXISTS invitation (
    scope         VARCHAR NOT NULL,
    temp_id       VARCHAR NOT NULL,
    role          VARCHAR NOT NULL,
    region        VARCHAR NOT NULL,
    wanted_id     VARCHAR,              -- the id it shall get; NULL: the next free one
    rejoin        BOOLEAN NOT NULL,
    invited_by    VARCHAR NOT NULL,
    invited_at    TIMESTAMP NOT NULL,
    expires_at    TIMESTAMP NOT NULL,
    public_key    VARCHAR,              -- of the newcomer that asked last; the invitation is its own
    exchange_key  VARCHAR,
    server_user   VARCHAR,
    challenge_id  VARCHAR,              -- the last challenge
    nonce         VARCHAR,
    challenged_at TIMESTAMP,
    challenge_seq UBIGINT,
    answer_until  TIMESTAMP,
    open          BOOLEAN NOT NULL,     -- the last challenge waits for its answer
    failures      UINTEGER NOT NULL,    -- challenges that were consumed in vain
    refusals      UBIGINT NOT NULL,
    reason        VARCHAR,              -- of the last refusal or failure
    controller_id VARCHAR,              -- the identity that came of it
    accepted_at   TIMESTAMP,
    first_seq     UBIGINT NOT NULL,
    seq           UBIGINT NOT NULL
);

-- The first invitation of a temporary id counts, and the rest only after it.

-- name: fold join.invited
MERGE INTO invitation USING (
    SELECT scope, data->>'temp_id' AS temp_id, recorded_at, seq, data
    FROM batch WHERE type = 'join.invited'
    QUALIFY row_number() OVER (PARTITION BY scope, data->>'temp_id' ORDER BY seq) = 1 -- of several
) b
ON invitation.scope = b.scope AND invitation.temp_id = b.temp_id
WHEN NOT MATCHED THEN
    INSERT (scope, temp_id, role, region, wanted_id, rejoin, invited_by, invited_at, expires_at,
            open, failures, refusals, first_seq, seq)
    VALUES (b.scope, b.temp_id, b.data->>'role', b.data->>'region', b.data->>'controller_id',
            coalesce(CAST(b.data->>'rejoin' AS BOOLEAN), false), coalesce(b.data->>'invited_by', ''),
            b.recorded_at, CAST(b.data->>'expires_at' AS TIMESTAMP), false, 0, 0, b.seq, b.seq);

-- name: fold join.challenged
UPDATE invitation
SET public_key = b.data->>'public_key', exchange_key = b.data->>'exchange_key',
    server_user = b.data->>'server_user', challenge_id = b.data->>'challenge_id',
    nonce = b.data->>'nonce', challenged_at = b.recorded_at, challenge_seq = b.seq,
    answer_until = CAST(b.data->>'expires_at' AS TIMESTAMP), open = true,
    seq = greatest(invitation.seq, b.seq)
FROM (
    SELECT i.scope, i.temp_id, e.recorded_at, e.seq, e.data
    FROM batch e JOIN invitation i ON i.scope = e.scope AND i.temp_id = e.data->>'temp_id'
    WHERE e.type = 'join.challenged' AND e.seq > i.first_seq
    QUALIFY row_number() OVER (PARTITION BY i.scope, i.temp_id ORDER BY e.seq DESC) = 1
) b
WHERE invitation.scope = b.scope AND invitation.temp_id = b.temp_id;

-- Whatever names the open challenge after it was made consumes it.

-- name: fold join.refused, join.failed, join.accepted
UPDATE invitation
SET open = invitation.open AND NOT b.consumed, failures = invitation.failures + b.failures,
    refusals = invitation.refusals + b.refusals, reason = coalesce(b.reason, invitation.reason),
    controller_id = coalesce(invitation.controller_id, b.controller_id),
    accepted_at = coalesce(invitation.accepted_at, b.accepted_at),
    seq = greatest(invitation.seq, b.seq)
FROM (
    SELECT i.scope, i.temp_id, max(e.seq) AS seq,
           coalesce(bool_or(e.data->>'challenge_id' = i.challenge_id AND e.seq > i.challenge_seq),
                    false) AS consumed,
           count(*) FILTER (e.type != 'join.accepted' AND e.data->>'challenge_id' IS NOT NULL)
               AS failures,
           coalesce(sum(coalesce(CAST(e.data->>'count' AS UBIGINT), 1))
                        FILTER (e.type = 'join.refused'), 0) AS refusals,
           arg_max(e.data->>'reason', e.seq) FILTER (e.type != 'join.accepted') AS reason,
           arg_min(e.data->>'controller_id', e.seq) FILTER (e.type = 'join.accepted')
               AS controller_id,
           min(e.recorded_at) FILTER (e.type = 'join.accepted') AS accepted_at
    FROM batch e JOIN invitation i ON i.scope = e.scope AND i.temp_id = e.data->>'temp_id'
    WHERE e.type IN ('join.refused', 'join.failed', 'join.accepted') AND e.seq > i.first_seq
    GROUP BY i.scope, i.temp_id
) b
WHERE invitation.scope = b.scope AND invitation.temp_id = b.temp_id;
