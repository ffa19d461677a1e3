DROP TABLE latest_assessments;
