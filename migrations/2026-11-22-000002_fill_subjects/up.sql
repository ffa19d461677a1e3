INSERT IGNORE INTO subjects
  (shard, customer_id, input_seq, closed_to, next_due_on, assessment_id, basis_number, digest, confirmed_at)
SELECT c.shard, c.id, 1, 0, IF(c.status = 'active', '1000-01-01', NULL), l.assessment_id, COALESCE(l.basis_number, 0),
  l.digest, l.confirmed_at
FROM customers c LEFT JOIN latest_assessments l ON l.shard = c.shard AND l.customer_id = c.id;
