CREATE TABLE IF NOT EXISTS employee_areas (
  employee_id BINARY(16) NOT NULL,
  starts_on DATE NOT NULL,
  area VARCHAR(200) NOT NULL,
  ends_on DATE NULL,
  PRIMARY KEY (employee_id, starts_on),
  KEY employee_areas_area (area, starts_on)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
