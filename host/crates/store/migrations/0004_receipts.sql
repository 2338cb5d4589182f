CREATE TABLE receipts (
    app VARCHAR(63) NOT NULL,
    release_number BIGINT NOT NULL,
    node VARCHAR(63) NOT NULL,
    state VARCHAR(16) NOT NULL,
    detail TEXT NULL,
    duration_ms BIGINT NOT NULL,
    at_unix_ms BIGINT NOT NULL,
    PRIMARY KEY (app, release_number, node),
    FOREIGN KEY (app, release_number) REFERENCES releases (app, release_number) ON DELETE CASCADE
)
