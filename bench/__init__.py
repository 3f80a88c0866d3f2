"""Measurements that anyone can repeat: `python bench/run.py` lists them."""
