DROP TABLE IF EXISTS customer_values;
