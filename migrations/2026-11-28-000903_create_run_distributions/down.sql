DROP TABLE IF EXISTS run_distributions;
