DROP TABLE IF EXISTS shadow_subjects;
