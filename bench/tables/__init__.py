"""One module for each table, with `TABLE`; `bench.run` finds it by its name."""
