DROP TABLE IF EXISTS staff_evaluations;
