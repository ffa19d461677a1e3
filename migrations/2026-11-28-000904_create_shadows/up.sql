CREATE TABLE IF NOT EXISTS shadows (
  id BINARY(16) NOT NULL,
  release_digest BINARY(32) NOT NULL,
  user_id BINARY(16) NULL,
  author VARCHAR(128) NOT NULL,
  facts LONGTEXT NOT NULL CHECK (JSON_VALID(facts)),
  starts_on DATE NOT NULL,
  ends_on DATE NOT NULL,
  status VARCHAR(16) NOT NULL,
  decided_on DATE NULL,
  run_id BINARY(16) NULL,
  cohort_digest BINARY(32) NULL,
  cohort_beside BINARY(32) NULL,
  result LONGTEXT NULL CHECK (JSON_VALID(result)),
  created_at DATETIME(6) NOT NULL,
  PRIMARY KEY (id),
  KEY shadows_status (status),
  KEY shadows_release (release_digest, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
