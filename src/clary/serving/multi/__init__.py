"""Many models behind one replica: loaded when they are asked for, unloaded when memory is short."""
