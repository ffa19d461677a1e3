ALTER TABLE sessions DROP COLUMN ended;
