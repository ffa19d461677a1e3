DROP TABLE run_shards;
