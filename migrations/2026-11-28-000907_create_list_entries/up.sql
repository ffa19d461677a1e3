CREATE TABLE IF NOT EXISTS list_entries (
  id BINARY(16) NOT NULL,
  list VARCHAR(64) NOT NULL,
  shard TINYINT UNSIGNED NOT NULL,
  customer_id BINARY(16) NOT NULL,
  reason VARCHAR(1000) NOT NULL,
  user_id BINARY(16) NOT NULL,
  author VARCHAR(128) NOT NULL,
  created_at DATETIME(6) NOT NULL,
  expires_on DATE NULL,
  ended_at DATETIME(6) NULL,
  PRIMARY KEY (id),
  KEY list_entries_list (list, customer_id),
  KEY list_entries_customer (customer_id),
  KEY list_entries_expiry (ended_at, expires_on)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
