ALTER TABLE deployment DROP COLUMN catalogue_seq;
