CREATE TABLE app_config (
    app VARCHAR(63) NOT NULL,
    name VARCHAR(64) NOT NULL,
    value MEDIUMTEXT NOT NULL,
    secret BIGINT NOT NULL,
    changed_by VARCHAR(255) NOT NULL,
    updated_unix_ms BIGINT NOT NULL,
    PRIMARY KEY (app, name)
)
