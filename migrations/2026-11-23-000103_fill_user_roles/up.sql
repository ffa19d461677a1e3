INSERT IGNORE INTO user_roles (user_id, role) SELECT id, 'administrator' FROM users;
