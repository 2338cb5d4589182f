CREATE TABLE settings_receipts (
    node VARCHAR(63) NOT NULL PRIMARY KEY,
    generation BIGINT NOT NULL,
    state VARCHAR(16) NOT NULL,
    detail TEXT NULL,
    ignored TEXT NOT NULL,
    at_unix_ms BIGINT NOT NULL
)
