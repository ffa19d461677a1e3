CREATE TABLE IF NOT EXISTS runs (
  id BINARY(16) NOT NULL,
  basis_number BIGINT NOT NULL,
  status VARCHAR(16) NOT NULL,
  total BIGINT NOT NULL,
  created_at DATETIME(6) NOT NULL,
  finished_at DATETIME(6) NULL,
  PRIMARY KEY (id),
  KEY runs_status (status, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
