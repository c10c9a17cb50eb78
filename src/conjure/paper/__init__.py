"""What each table and figure of the paper is: rows, sets, published figures."""
