"""What runs inside the environments of the other model servers, and their exact requirements."""
