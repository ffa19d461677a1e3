DROP TABLE IF EXISTS run_failures;
