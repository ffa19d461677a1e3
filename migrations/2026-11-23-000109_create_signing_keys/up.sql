CREATE TABLE IF NOT EXISTS signing_keys (
  id BINARY(16) NOT NULL,
  public_key BINARY(32) NOT NULL,
  private_key BINARY(72) NOT NULL,
  created_at DATETIME(6) NOT NULL,
  signs_from DATETIME(6) NOT NULL,
  PRIMARY KEY (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
