DROP TABLE IF EXISTS release_steps;
