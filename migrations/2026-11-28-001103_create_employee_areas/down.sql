DROP TABLE IF EXISTS employee_areas;
