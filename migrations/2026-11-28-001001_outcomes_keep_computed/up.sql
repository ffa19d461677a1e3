ALTER TABLE outcomes
  ADD COLUMN computed VARCHAR(64) NULL,
  ADD COLUMN computed_since DATE NULL,
  ADD COLUMN computed_assessment_id BINARY(16) NULL,
  ADD COLUMN differs_since DATE NULL;
