DROP TABLE IF EXISTS import_reports;
