CREATE TABLE IF NOT EXISTS sign_in_attempts (
  who BINARY(32) NOT NULL,
  period BIGINT NOT NULL,
  failures BIGINT NOT NULL,
  PRIMARY KEY (who, period),
  KEY sign_in_attempts_period (period)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
