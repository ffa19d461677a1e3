CREATE TABLE IF NOT EXISTS latest_assessments (
  shard TINYINT UNSIGNED NOT NULL,
  customer_id BINARY(16) NOT NULL,
  assessment_id BINARY(16) NOT NULL,
  basis_number BIGINT NOT NULL,
  digest BINARY(32) NOT NULL,
  confirmed_at DATETIME(6) NOT NULL,
  PRIMARY KEY (shard, customer_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
