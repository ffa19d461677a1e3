CREATE TABLE IF NOT EXISTS comparisons (
  run_id BINARY(16) NOT NULL,
  candidate_digest BINARY(32) NOT NULL,
  cohort_digest BINARY(32) NULL,
  user_id BINARY(16) NULL,
  author VARCHAR(128) NOT NULL,
  population LONGTEXT NOT NULL CHECK (JSON_VALID(population)),
  content LONGTEXT NULL CHECK (JSON_VALID(content)),
  digest BINARY(32) NULL,
  PRIMARY KEY (run_id),
  KEY comparisons_candidate (candidate_digest, run_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
