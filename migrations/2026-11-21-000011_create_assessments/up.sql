CREATE TABLE IF NOT EXISTS assessments (
  shard TINYINT UNSIGNED NOT NULL,
  customer_id BINARY(16) NOT NULL,
  id BINARY(16) NOT NULL,
  run_id BINARY(16) NULL,
  basis_number BIGINT NOT NULL,
  release_digest BINARY(32) NOT NULL,
  cohort_digest BINARY(32) NOT NULL,
  as_of DATE NOT NULL,
  assessed_at DATETIME(6) NOT NULL,
  content LONGTEXT NOT NULL CHECK (JSON_VALID(content)),
  PRIMARY KEY (shard, customer_id, id),
  KEY assessments_id (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
