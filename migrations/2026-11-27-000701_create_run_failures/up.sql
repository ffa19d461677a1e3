CREATE TABLE IF NOT EXISTS run_failures (
  run_id BINARY(16) NOT NULL,
  shard TINYINT UNSIGNED NOT NULL,
  customer_id BINARY(16) NOT NULL,
  reasons LONGTEXT NOT NULL CHECK (JSON_VALID(reasons)),
  PRIMARY KEY (run_id, shard, customer_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
