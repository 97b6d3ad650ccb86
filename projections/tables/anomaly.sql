-- Findings for a person to look at; each is flagged once.
-- key: scope, anomaly_id
-- folds: anomaly.flagged

-- name: table
CREATE TABLE IF NOT EXISTS anomaly (
    scope      VARCHAR NOT NULL,
    anomaly_id VARCHAR NOT NULL,
    kind       VARCHAR NOT NULL,
    about      VARCHAR NOT NULL,     -- the device, controller or address
    detail     JSON NOT NULL,
    flagged_at TIMESTAMP NOT NULL,
    seq        UBIGINT NOT NULL
);

-- name: fold anomaly.flagged
MERGE INTO anomaly USING (
    SELECT scope, data->>'anomaly_id' AS anomaly_id, recorded_at, seq, data
    FROM batch WHERE type = 'anomaly.flagged'
    QUALIFY row_number() OVER (PARTITION BY scope, data->>'anomaly_id' ORDER BY seq) = 1
) b
ON anomaly.scope = b.scope AND anomaly.anomaly_id = b.anomaly_id
WHEN NOT MATCHED THEN INSERT (scope, anomaly_id, kind, about, detail, flagged_at, seq)
    VALUES (b.scope, b.anomaly_id, b.data->>'kind', b.data->>'about', b.data->'detail',
            b.recorded_at, b.seq);
