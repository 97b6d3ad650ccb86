-- Findings for a person to look at; each is flagged once.
-- folds: anomaly.flagged

-- name: table
CREATE TABLE IF NOT EXISTS anomaly (
    scope      VARCHAR NOT NULL,
    anomaly_id VARCHAR NOT NULL,
    kind       VARCHAR NOT NULL,
    about      VARCHAR NOT NULL,     -- the device, controller or address
    detail     JSON NOT NULL,
    flagged_at TIMESTAMP NOT NULL,
    seq        UBIGINT NOT NULL,
    PRIMARY KEY (scope, anomaly_id)
);

-- name: fold
INSERT INTO anomaly BY NAME
SELECT scope, data->>'anomaly_id' AS anomaly_id, data->>'kind' AS kind, data->>'about' AS about,
       data->'detail' AS detail, recorded_at AS flagged_at, seq
FROM batch WHERE type = 'anomaly.flagged'
QUALIFY row_number() OVER (PARTITION BY scope, data->>'anomaly_id' ORDER BY seq) = 1
ON CONFLICT DO NOTHING;
