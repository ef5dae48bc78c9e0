"""What answers in a replica, a file each: a built-in algorithm's model, a customer's script."""
