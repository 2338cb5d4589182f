CREATE TABLE sign_ins (
    token_hash VARCHAR(64) NOT NULL PRIMARY KEY,
    user_name VARCHAR(63) NOT NULL,
    created_unix_ms BIGINT NOT NULL,
    expires_unix_ms BIGINT NOT NULL,
    FOREIGN KEY (user_name) REFERENCES users (name) ON DELETE CASCADE
)
