ALTER TABLE deployment DROP COLUMN history_from;
