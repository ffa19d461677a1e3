CREATE TABLE IF NOT EXISTS subjects (
  shard TINYINT UNSIGNED NOT NULL,
  customer_id BINARY(16) NOT NULL,
  input_seq BIGINT NOT NULL,
  closed_to BIGINT NOT NULL,
  next_due_on DATE NULL,
  assessment_id BINARY(16) NULL,
  basis_number BIGINT NOT NULL,
  digest BINARY(32) NULL,
  confirmed_at DATETIME(6) NULL,
  PRIMARY KEY (shard, customer_id),
  KEY subjects_due (shard, next_due_on, customer_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
