CREATE TABLE app_config_receipts (
    app VARCHAR(63) NOT NULL,
    node VARCHAR(63) NOT NULL,
    generation BIGINT NOT NULL,
    state VARCHAR(16) NOT NULL,
    detail TEXT NULL,
    at_unix_ms BIGINT NOT NULL,
    PRIMARY KEY (app, node)
)
