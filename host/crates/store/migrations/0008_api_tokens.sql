CREATE TABLE api_tokens (
    name VARCHAR(64) NOT NULL PRIMARY KEY,
    token_hash VARCHAR(64) NOT NULL UNIQUE,
    role VARCHAR(16) NOT NULL,
    creator VARCHAR(255) NOT NULL,
    created_unix_ms BIGINT NOT NULL
)
