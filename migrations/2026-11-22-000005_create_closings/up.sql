CREATE TABLE IF NOT EXISTS closings (
  basis_number BIGINT NOT NULL,
  cause VARCHAR(16) NOT NULL,
  policies LONGTEXT NOT NULL CHECK (JSON_VALID(policies)),
  run_id BINARY(16) NULL,
  created_at DATETIME(6) NOT NULL,
  finished_at DATETIME(6) NULL,
  PRIMARY KEY (basis_number)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
