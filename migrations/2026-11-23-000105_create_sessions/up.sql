CREATE TABLE IF NOT EXISTS sessions (
  id BINARY(16) NOT NULL,
  user_id BINARY(16) NOT NULL,
  user_agent VARCHAR(200) NOT NULL,
  address VARCHAR(45) NOT NULL,
  created_at DATETIME(6) NOT NULL,
  used_at DATETIME(6) NOT NULL,
  expires_at DATETIME(6) NOT NULL,
  PRIMARY KEY (id),
  KEY sessions_user (user_id, expires_at),
  KEY sessions_expires_at (expires_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
