CREATE TABLE setup_links (
    token_hash VARCHAR(64) NOT NULL PRIMARY KEY,
    created_unix_ms BIGINT NOT NULL
)
