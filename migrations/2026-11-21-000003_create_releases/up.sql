CREATE TABLE releases (
  digest BINARY(32) NOT NULL,
  pack_id VARCHAR(64) NOT NULL,
  content LONGTEXT NOT NULL CHECK (JSON_VALID(content)),
  created_at DATETIME(6) NOT NULL,
  PRIMARY KEY (digest)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
