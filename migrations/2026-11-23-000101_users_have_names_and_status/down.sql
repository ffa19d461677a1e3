ALTER TABLE users DROP COLUMN last_sign_in_at, DROP COLUMN version, DROP COLUMN status, DROP COLUMN display_name;
