CREATE TABLE IF NOT EXISTS deployment (
  id TINYINT UNSIGNED NOT NULL,
  pack_id VARCHAR(64) NOT NULL,
  time_zone VARCHAR(64) NOT NULL,
  currency VARCHAR(16) NOT NULL,
  fixed_business_date DATE NULL,
  sample_loaded_at DATETIME(6) NULL,
  created_at DATETIME(6) NOT NULL,
  PRIMARY KEY (id),
  CONSTRAINT deployment_is_one CHECK (id = 1)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
