"""What our service is compared with in the same run: the least and the usual."""
