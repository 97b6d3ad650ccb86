-- Security alarms: what was attempted and did not count, by source, reason and minute.
-- key: scope, alarm_id
-- folds: security.alarm

-- name: table
CREATE TABLE IF NOT EXISTS alarm (
    scope         VARCHAR NOT NULL,
    alarm_id      VARCHAR NOT NULL,
    reason        VARCHAR NOT NULL,     -- streams/refusal.py lists them
    source        VARCHAR,              -- who sealed the events; NULL when not even that is sure
    refused_from  UBIGINT NOT NULL,     -- the sequence of the first refused event
    first_at      TIMESTAMP NOT NULL,
    first_subject VARCHAR NOT NULL,
    detail        VARCHAR NOT NULL,
    refused       UBIGINT NOT NULL,     -- events, when the alarm was raised
    raised_at     TIMESTAMP NOT NULL,
    seq           UBIGINT NOT NULL
);

-- name: fold security.alarm
MERGE INTO alarm USING (
    SELECT scope, data->>'alarm_id' AS alarm_id, recorded_at, seq, data
    FROM batch WHERE type = 'security.alarm'
    QUALIFY row_number() OVER (PARTITION BY scope, data->>'alarm_id' ORDER BY seq) = 1
) b
ON alarm.scope = b.scope AND alarm.alarm_id = b.alarm_id
WHEN NOT MATCHED THEN
    INSERT (scope, alarm_id, reason, source, refused_from, first_at, first_subject, detail, refused,
            raised_at, seq)
    VALUES (b.scope, b.alarm_id, b.data->>'reason', b.data->>'source',
            CAST(b.data->>'first_seq' AS UBIGINT), CAST(b.data->>'first_at' AS TIMESTAMP),
            b.data->>'first_subject', b.data->>'detail', CAST(b.data->>'count' AS UBIGINT),
            b.recorded_at, b.seq);
