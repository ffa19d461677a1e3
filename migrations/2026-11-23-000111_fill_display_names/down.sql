UPDATE users SET display_name = '' WHERE display_name = username;
