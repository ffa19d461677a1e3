DROP TABLE IF EXISTS access_state;
