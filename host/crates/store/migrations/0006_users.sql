CREATE TABLE users (
    name VARCHAR(63) NOT NULL PRIMARY KEY,
    password_hash VARCHAR(255) NOT NULL,
    role VARCHAR(16) NOT NULL,
    created_unix_ms BIGINT NOT NULL
)
