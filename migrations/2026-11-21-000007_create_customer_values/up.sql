CREATE TABLE IF NOT EXISTS customer_values (
  shard TINYINT UNSIGNED NOT NULL,
  customer_id BINARY(16) NOT NULL,
  field VARCHAR(64) NOT NULL,
  item SMALLINT UNSIGNED NOT NULL,
  text_value VARCHAR(200) NULL,
  number_value DECIMAL(21,6) NULL,
  date_value DATE NULL,
  PRIMARY KEY (shard, customer_id, field, item),
  KEY customer_values_text (field, text_value, customer_id),
  KEY customer_values_number (field, number_value, customer_id),
  KEY customer_values_date (field, date_value, customer_id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
