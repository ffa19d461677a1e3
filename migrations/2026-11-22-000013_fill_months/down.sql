UPDATE assessments SET month = 0;
