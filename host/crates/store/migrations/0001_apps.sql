CREATE TABLE apps (
    name VARCHAR(63) NOT NULL PRIMARY KEY,
    generation BIGINT NOT NULL,
    last_release BIGINT NOT NULL,
    active BIGINT NULL,
    candidate BIGINT NULL,
    candidate_since_unix_ms BIGINT NULL,
    created_unix_ms BIGINT NOT NULL,
    updated_unix_ms BIGINT NOT NULL
)
