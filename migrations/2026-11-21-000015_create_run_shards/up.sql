CREATE TABLE IF NOT EXISTS run_shards (
  run_id BINARY(16) NOT NULL,
  shard TINYINT UNSIGNED NOT NULL,
  owner BINARY(16) NULL,
  lease_until DATETIME(6) NULL,
  token BIGINT NOT NULL,
  after_id BINARY(16) NOT NULL,
  finished BOOLEAN NOT NULL,
  assessed BIGINT NOT NULL,
  unchanged BIGINT NOT NULL,
  failed BIGINT NOT NULL,
  summary LONGTEXT NOT NULL CHECK (JSON_VALID(summary)),
  PRIMARY KEY (run_id, shard),
  CONSTRAINT run_shards_run FOREIGN KEY (run_id) REFERENCES runs (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
