"""A live broadcast of any length at any pace, for tables that record one."""
