CREATE TABLE IF NOT EXISTS bonus_pools (
  id BINARY(16) NOT NULL,
  area VARCHAR(200) NOT NULL,
  period DATE NOT NULL,
  collected DECIMAL(27,6) NOT NULL,
  share DECIMAL(21,6) NOT NULL,
  amount DECIMAL(21,2) NOT NULL,
  currency VARCHAR(16) NOT NULL,
  content LONGTEXT NOT NULL CHECK (JSON_VALID(content)),
  user_id BINARY(16) NOT NULL,
  author VARCHAR(128) NOT NULL,
  created_at DATETIME(6) NOT NULL,
  corrects BINARY(16) NULL,
  reason VARCHAR(1000) NULL,
  corrected BOOLEAN NOT NULL,
  PRIMARY KEY (id),
  KEY bonus_pools_area (area, period)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
