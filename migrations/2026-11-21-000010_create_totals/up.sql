CREATE TABLE totals (
  shard TINYINT UNSIGNED NOT NULL,
  customer_id BINARY(16) NOT NULL,
  kind VARCHAR(64) NOT NULL,
  year SMALLINT NOT NULL,
  months LONGTEXT NOT NULL CHECK (JSON_VALID(months)),
  products LONGTEXT NOT NULL CHECK (JSON_VALID(products)),
  PRIMARY KEY (shard, customer_id, kind, year)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
