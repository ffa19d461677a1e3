UPDATE assessments SET month = YEAR(as_of) * 12 + MONTH(as_of) - 1 WHERE month = 0;
