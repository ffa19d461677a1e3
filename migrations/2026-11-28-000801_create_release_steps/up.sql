CREATE TABLE IF NOT EXISTS release_steps (
  release_digest BINARY(32) NOT NULL,
  id BINARY(16) NOT NULL,
  kind VARCHAR(16) NOT NULL,
  user_id BINARY(16) NULL,
  author VARCHAR(128) NOT NULL,
  parent_digest BINARY(32) NULL,
  comparison_digest BINARY(32) NULL,
  message VARCHAR(1000) NULL,
  created_at DATETIME(6) NOT NULL,
  PRIMARY KEY (release_digest, id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
