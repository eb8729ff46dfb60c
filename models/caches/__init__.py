"""Where vectors are kept between calls: this process, the database directory, Redis."""
