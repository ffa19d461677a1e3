CREATE TABLE IF NOT EXISTS transactions (
  shard TINYINT UNSIGNED NOT NULL,
  customer_id BINARY(16) NOT NULL,
  occurred_on DATE NOT NULL,
  id BINARY(16) NOT NULL,
  source VARCHAR(64) NOT NULL,
  external_id VARCHAR(200) NOT NULL,
  kind VARCHAR(64) NOT NULL,
  order_reference VARCHAR(128) NOT NULL,
  occurred_at DATETIME(6) NULL,
  revision BIGINT NULL,
  cancelled BOOLEAN NOT NULL,
  digest BINARY(32) NOT NULL,
  line_items LONGTEXT NOT NULL CHECK (JSON_VALID(line_items)),
  created_at DATETIME(6) NOT NULL,
  updated_at DATETIME(6) NOT NULL,
  PRIMARY KEY (shard, customer_id, occurred_on, id),
  UNIQUE KEY transactions_source (source, external_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
