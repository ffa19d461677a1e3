CREATE TABLE IF NOT EXISTS outcomes (
  shard TINYINT UNSIGNED NOT NULL,
  customer_id BINARY(16) NOT NULL,
  policy VARCHAR(64) NOT NULL,
  outcome VARCHAR(64) NOT NULL,
  flag VARCHAR(16) NULL,
  since DATE NOT NULL,
  assessment_id BINARY(16) NOT NULL,
  PRIMARY KEY (shard, customer_id, policy),
  KEY outcomes_policy (policy, outcome, customer_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
