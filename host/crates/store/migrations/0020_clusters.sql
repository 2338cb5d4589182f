CREATE TABLE clusters (
    singleton BIGINT NOT NULL PRIMARY KEY,
    id VARCHAR(63) NOT NULL,
    secret_check VARCHAR(64) NOT NULL,
    oldest_schema BIGINT NOT NULL,
    created_unix_ms BIGINT NOT NULL
)
