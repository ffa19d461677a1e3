ALTER TABLE bases DROP COLUMN catalogue_seq, DROP COLUMN rules_number;
