DELETE FROM subjects;
