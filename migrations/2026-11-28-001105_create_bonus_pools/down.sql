DROP TABLE IF EXISTS bonus_pools;
