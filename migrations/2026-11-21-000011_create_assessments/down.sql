DROP TABLE IF EXISTS assessments;
