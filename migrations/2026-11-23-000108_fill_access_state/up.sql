INSERT IGNORE INTO access_state (id, version) VALUES (1, 0);
