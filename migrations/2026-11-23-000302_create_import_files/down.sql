DROP TABLE IF EXISTS import_files;
