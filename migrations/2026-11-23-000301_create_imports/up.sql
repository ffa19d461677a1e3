CREATE TABLE IF NOT EXISTS imports (
  id BINARY(16) NOT NULL,
  kind VARCHAR(16) NOT NULL,
  dry_run BOOLEAN NOT NULL,
  status VARCHAR(16) NOT NULL,
  options LONGTEXT NOT NULL CHECK (JSON_VALID(options)),
  file_name VARCHAR(255) NOT NULL,
  total_bytes BIGINT NOT NULL,
  done_bytes BIGINT NOT NULL,
  outcome LONGTEXT NOT NULL CHECK (JSON_VALID(outcome)),
  created_by BINARY(16) NOT NULL,
  created_at DATETIME(6) NOT NULL,
  finished_at DATETIME(6) NULL,
  owner BINARY(16) NULL,
  lease_until DATETIME(6) NULL,
  token BIGINT NOT NULL,
  PRIMARY KEY (id),
  KEY imports_status (status, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
