DROP TABLE IF EXISTS latest_assessments;
