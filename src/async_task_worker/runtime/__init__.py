"""Running tasks: the queue, the slots and what happens in one."""
