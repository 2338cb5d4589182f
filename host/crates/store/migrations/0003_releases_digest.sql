CREATE INDEX releases_digest ON releases (digest)
