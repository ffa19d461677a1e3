ALTER TABLE runs DROP COLUMN failed_of;
