ALTER TABLE assessments DROP COLUMN month;
