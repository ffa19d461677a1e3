DROP TABLE IF EXISTS list_entries;
