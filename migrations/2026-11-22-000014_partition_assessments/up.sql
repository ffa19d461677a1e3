ALTER TABLE assessments DROP PRIMARY KEY, ADD PRIMARY KEY (shard, customer_id, id, month)
PARTITION BY HASH (month) PARTITIONS 64;
