CREATE TABLE settings (
    generation BIGINT NOT NULL PRIMARY KEY,
    document MEDIUMTEXT NOT NULL,
    changed_by VARCHAR(255) NOT NULL,
    note TEXT NOT NULL,
    created_unix_ms BIGINT NOT NULL
)
