DROP TABLE IF EXISTS comparison_shards;
