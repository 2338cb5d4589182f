CREATE TABLE nodes (
    id VARCHAR(63) NOT NULL PRIMARY KEY,
    name VARCHAR(255) NOT NULL,
    admin VARCHAR(255) NOT NULL,
    version VARCHAR(63) NOT NULL,
    started_unix_ms BIGINT NOT NULL,
    heartbeat_unix_ms BIGINT NOT NULL
)
