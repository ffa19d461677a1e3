DROP TABLE IF EXISTS event_shards;
