ALTER TABLE releases ADD COLUMN activated_generation BIGINT NULL
