CREATE TABLE IF NOT EXISTS overrides (
  id BINARY(16) NOT NULL,
  shard TINYINT UNSIGNED NOT NULL,
  customer_id BINARY(16) NOT NULL,
  policy VARCHAR(64) NOT NULL,
  outcome VARCHAR(64) NOT NULL,
  reason VARCHAR(1000) NOT NULL,
  user_id BINARY(16) NOT NULL,
  author VARCHAR(128) NOT NULL,
  created_at DATETIME(6) NOT NULL,
  starts_on DATE NOT NULL,
  expires_on DATE NOT NULL,
  ended_on DATE NULL,
  ended_at DATETIME(6) NULL,
  ended_by VARCHAR(128) NULL,
  PRIMARY KEY (id),
  KEY overrides_customer (shard, customer_id, expires_on),
  KEY overrides_expiry (ended_at, expires_on)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
