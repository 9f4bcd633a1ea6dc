"""What people read: the block of results and the plots."""
