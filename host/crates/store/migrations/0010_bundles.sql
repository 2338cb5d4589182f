CREATE TABLE bundles (
    digest VARCHAR(71) NOT NULL PRIMARY KEY,
    state VARCHAR(16) NOT NULL,
    touched_unix_ms BIGINT NOT NULL
)
