CREATE TABLE IF NOT EXISTS bases (
  number BIGINT NOT NULL,
  release_digest BINARY(32) NOT NULL,
  cohort_digest BINARY(32) NOT NULL,
  business_date DATE NOT NULL,
  created_at DATETIME(6) NOT NULL,
  PRIMARY KEY (number)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
