CREATE TABLE IF NOT EXISTS customers (
  shard TINYINT UNSIGNED NOT NULL,
  id BINARY(16) NOT NULL,
  code VARCHAR(64) NOT NULL,
  name VARCHAR(200) NOT NULL,
  search VARCHAR(300) NOT NULL,
  status VARCHAR(16) NOT NULL,
  profile LONGTEXT NOT NULL CHECK (JSON_VALID(profile)),
  version BIGINT NOT NULL,
  created_at DATETIME(6) NOT NULL,
  updated_at DATETIME(6) NOT NULL,
  PRIMARY KEY (shard, id),
  UNIQUE KEY customers_id (id),
  UNIQUE KEY customers_code (code),
  KEY customers_name (name, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
