"""How values of a shape are written: JSON, XML, forms, headers. Compiled once per shape."""
