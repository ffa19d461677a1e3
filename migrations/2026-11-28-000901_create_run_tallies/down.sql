DROP TABLE IF EXISTS run_tallies;
