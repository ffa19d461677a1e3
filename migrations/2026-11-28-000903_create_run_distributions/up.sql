CREATE TABLE IF NOT EXISTS run_distributions (
  run_id BINARY(16) NOT NULL,
  compared_with BINARY(16) NULL,
  content LONGTEXT NOT NULL CHECK (JSON_VALID(content)),
  PRIMARY KEY (run_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
