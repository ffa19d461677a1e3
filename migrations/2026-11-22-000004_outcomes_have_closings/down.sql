ALTER TABLE outcomes DROP COLUMN provisional, DROP COLUMN closed_on;
