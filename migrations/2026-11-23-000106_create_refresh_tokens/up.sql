CREATE TABLE IF NOT EXISTS refresh_tokens (
  hash BINARY(32) NOT NULL,
  session_id BINARY(16) NOT NULL,
  issued_at DATETIME(6) NOT NULL,
  expires_at DATETIME(6) NOT NULL,
  used_at DATETIME(6) NULL,
  PRIMARY KEY (hash),
  KEY refresh_tokens_expires_at (expires_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
