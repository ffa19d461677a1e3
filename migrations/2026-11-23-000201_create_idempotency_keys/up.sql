CREATE TABLE IF NOT EXISTS idempotency_keys (
  user_id BINARY(16) NOT NULL,
  key_digest BINARY(32) NOT NULL,
  request_digest BINARY(32) NOT NULL,
  owner BINARY(16) NOT NULL,
  owned_until DATETIME(6) NOT NULL,
  status SMALLINT NULL,
  headers VARCHAR(2000) NULL,
  body MEDIUMBLOB NULL,
  created_at DATETIME(6) NOT NULL,
  expires_at DATETIME(6) NOT NULL,
  PRIMARY KEY (user_id, key_digest),
  KEY idempotency_keys_expires_at (expires_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
