DELETE FROM access_state;
