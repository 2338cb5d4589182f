CREATE TABLE releases (
    app VARCHAR(63) NOT NULL,
    release_number BIGINT NOT NULL,
    digest VARCHAR(71) NOT NULL,
    manifest MEDIUMTEXT NOT NULL,
    note TEXT NOT NULL,
    publisher VARCHAR(255) NOT NULL,
    created_unix_ms BIGINT NOT NULL,
    state VARCHAR(16) NOT NULL,
    failure TEXT NULL,
    activate BIGINT NOT NULL,
    activated_unix_ms BIGINT NULL,
    PRIMARY KEY (app, release_number),
    FOREIGN KEY (app) REFERENCES apps (name)
)
