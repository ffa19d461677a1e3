ALTER TABLE outcomes DROP COLUMN differs_since, DROP COLUMN computed_assessment_id, DROP COLUMN computed_since, DROP COLUMN computed;
